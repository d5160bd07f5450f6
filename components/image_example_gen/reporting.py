"""Glue."""

from typing import Any


def write_report(*arguments: Any) -> None:
    """Writes."""
