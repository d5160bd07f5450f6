"""Numbers and names as people read them."""

from components.gate.settings import Metric
from components.gate.verdict_schema import Interval

METRIC_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "log_loss": "log loss",
    "auc": "AUC",
    "calibration_error": "calibration error",
}


def signed(value: float | None) -> str:
    """A difference; "unknown" where there is none."""
    return "unknown" if value is None else f"{value:+.4f}".replace("-0.0000", "+0.0000")


def number(value: float | None) -> str:
    """A metric; "unknown" where there is none."""
    return "unknown" if value is None else f"{value:.4f}"


def between(interval: Interval | None) -> str:
    """The bounds of a difference in words."""
    if interval is None:
        return "its interval cannot be computed"
    return f"it lies between {signed(interval.low)} and {signed(interval.high)}"


def listed(items: list[str], most: int = 3) -> str:
    """The first few of them, and how many there are more."""
    shown = "; ".join(items[:most])
    return f"{shown}; and {len(items) - most} more" if len(items) > most else shown
