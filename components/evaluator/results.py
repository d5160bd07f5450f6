"""The numbers of an evaluation that others read, without TFMA, whose import takes seconds."""

import json
from collections.abc import Mapping
from pathlib import Path

CANDIDATE = "candidate"
"""The name that TFX gives the model that is evaluated."""
BASELINE = "baseline"
"""The name that TFX gives the model that it is compared with."""

_FILE = "thaw_metrics.json"


def write_metrics(evaluation_uri: str, metrics: Mapping[str, Mapping[str, float | None]]) -> None:
    """Writes metrics by model and name beside what TFMA wrote."""
    Path(evaluation_uri, _FILE).write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_metrics(evaluation_uri: str, model_name: str) -> dict[str, float | None]:
    """Accuracy, top-k accuracy, log loss and AUC of one model on the whole test split; None for what is no number.

    Args:
        evaluation_uri: folder that Evaluator wrote to.
        model_name: `CANDIDATE` or `BASELINE`.
    """
    found: dict[str, float | None] = json.loads(Path(evaluation_uri, _FILE).read_text("utf-8"))[model_name]
    return found
