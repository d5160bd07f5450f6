"""Kubeflow Pipelines: submitting what was compiled, schedules, and what became of a run."""
