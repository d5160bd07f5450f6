"""Reads the numbers that TFMA wrote."""

import math
from collections.abc import Mapping
from typing import Any

import tensorflow_model_analysis as tfma

from components.evaluator import evaluation_config as names

_METRICS = {
    "accuracy": names.ACCURACY,
    "top_k_accuracy": names.TOP_K_ACCURACY,
    "log_loss": names.LOG_LOSS,
    "auc": f"macro_average: true\n_{names.AUC}",
}


def overall_metrics(evaluation_uri: str, model_name: str) -> dict[str, float | None]:
    """What `components.evaluator.results.read_metrics` gives, out of TFMA's own files."""
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    overall = {key: outputs[""] for key, outputs in result.slicing_metrics}[()][""]
    return {name: _number(overall, key) for name, key in _METRICS.items()}


def _number(values: Mapping[str, Mapping[str, Any]], key: str) -> float | None:
    """A finite value, or None: TFMA writes NaN as a string."""
    value = float(values[key]["doubleValue"])
    return value if math.isfinite(value) else None
