"""Looks for what would keep `thaw run` from working, without importing TensorFlow into this process."""

from pipeline.doctor.examination import checks
from pipeline.doctor.finding import Finding, Status

__all__ = ["Finding", "Status", "checks"]
