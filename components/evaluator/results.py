"""Reads the numbers that TFMA wrote."""

import math
from collections.abc import Mapping
from typing import Any

import tensorflow_model_analysis as tfma

from components.evaluator import evaluation_config as names

CANDIDATE = "candidate"
"""The name that TFX gives the model that is evaluated."""
BASELINE = "baseline"
"""The name that TFX gives the model that it is compared with."""

_METRICS = {
    "accuracy": names.ACCURACY,
    "top_k_accuracy": names.TOP_K_ACCURACY,
    "log_loss": names.LOG_LOSS,
    "auc": f"macro_average: true\n_{names.AUC}",
}


def read_metrics(evaluation_uri: str, model_name: str) -> dict[str, float | None]:
    """Accuracy, top-k accuracy, log loss and AUC of one model on the whole test split; None for what is no number.

    Args:
        evaluation_uri: folder that TFMA wrote to.
        model_name: `CANDIDATE` or `BASELINE`.
    """
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    overall = {key: outputs[""] for key, outputs in result.slicing_metrics}[()][""]
    return {name: _number(overall, key) for name, key in _METRICS.items()}


def _number(values: Mapping[str, Mapping[str, Any]], key: str) -> float | None:
    """A finite value, or None: TFMA writes NaN as a string."""
    value = float(values[key]["doubleValue"])
    return value if math.isfinite(value) else None
