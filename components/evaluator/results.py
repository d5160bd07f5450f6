"""Reads the numbers that TFMA wrote."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray

from components.evaluator import evaluation_config as names
from components.evaluator.settings import GateSettings
from components.evaluator.verdict import Verdict, decide

# TFX gives the two models these names.
_CANDIDATE = "candidate"
_BASELINE = "baseline"

# Of the whole test split: what it is called here, and by TFMA.
_OVERALL = {
    names.ACCURACY: names.ACCURACY,
    "top-{k} accuracy": names.TOP_K_ACCURACY,
    "log loss": names.LOG_LOSS,
    "AUC": f"macro_average: true\n_{names.AUC}",
}
# TFMA's metrics of one slice: sub-key ("classId:0") to metric to value.
SliceMetrics = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class ModelResults:
    """What TFMA found on the whole test split for one model.

    Attributes:
        metrics: see `SliceMetrics`.
        confusion: number of examples, [actual class, predicted class].
    """

    metrics: SliceMetrics
    confusion: NDArray[np.float64]


def read_verdict(evaluation_uri: str, gate: GateSettings, labels: Sequence[str], blessed: bool) -> Verdict:
    """The verdict on an evaluation of a candidate and its baseline.

    Args:
        evaluation_uri: folder that TFMA wrote to.
        gate: the thresholds that TFMA applied.
        labels: the classes, in the order of the scores.
        blessed: TFMA's decision.
    """
    candidate = read_model_results(evaluation_uri, _CANDIDATE, len(labels))
    baseline = read_model_results(evaluation_uri, _BASELINE, len(labels))
    return decide(
        gate,
        _named_metrics(candidate, gate, labels),
        _named_metrics(baseline, gate, labels),
        int(candidate.metrics[""][names.EXAMPLE_COUNT]["doubleValue"]),
        blessed,
    )


def read_model_results(evaluation_uri: str, model_name: str, num_classes: int) -> ModelResults:
    """Reads the overall slice of one model, "candidate" or "baseline"."""
    result = tfma.load_eval_result(evaluation_uri, model_name=model_name)
    metrics = {key: outputs[""] for key, outputs in result.slicing_metrics}
    plots = {key: outputs[""] for key, outputs in result.plots}
    (matrix,) = plots[()][""]["multiClassConfusionMatrixAtThresholds"]["matrices"]
    confusion = np.zeros((num_classes, num_classes))
    for entry in matrix["entries"]:  # zeros are left out, as in any protobuf turned into JSON
        confusion[entry.get("actualClassId", 0), entry.get("predictedClassId", 0)] = entry["numWeightedExamples"]
    return ModelResults(metrics[()], confusion)


def _named_metrics(results: ModelResults, gate: GateSettings, labels: Sequence[str]) -> dict[str, float | None]:
    """Metrics by the name that people see; those of single classes come last."""
    k = min(gate.top_k, len(labels))
    named = {name.format(k=k): _number(results.metrics[""], key) for name, key in _OVERALL.items()}
    for index, label in enumerate(labels):
        hits = results.confusion[index, index]
        named[f"precision of {label}"] = _ratio(hits, results.confusion[:, index].sum())
        named[f"recall of {label}"] = _ratio(hits, results.confusion[index].sum())
        named[f"calibration of {label}"] = _number(results.metrics[f"classId:{index}"], names.CALIBRATION)
    return named


def _ratio(part: float, whole: float) -> float | None:
    """None where there is nothing to divide by, such as for the precision of a class that is never predicted."""
    return float(part / whole) if whole else None


def _number(values: Mapping[str, Mapping[str, Any]], key: str) -> float | None:
    """A finite value, or None: TFMA writes NaN as a string."""
    value = float(values[key]["doubleValue"])
    return value if math.isfinite(value) else None
