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
from components.evaluator.verdict import ClassRow, MetricRow, Verdict, decide

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
        _overall_metrics(candidate, gate, len(labels)),
        _overall_metrics(baseline, gate, len(labels)),
        int(candidate.metrics[""][names.EXAMPLE_COUNT]["doubleValue"]),
        blessed,
        tuple(_class_row(index, label, candidate, baseline) for index, label in enumerate(labels)),
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


def _overall_metrics(results: ModelResults, gate: GateSettings, num_classes: int) -> dict[str, float | None]:
    """Metrics of the whole test split by the name that people see."""
    k = min(gate.top_k, num_classes)
    return {name.format(k=k): _number(results.metrics[""], key) for name, key in _OVERALL.items()}


def _class_row(index: int, label: str, candidate: ModelResults, baseline: ModelResults) -> ClassRow:
    ours, theirs = _class_metrics(candidate, index), _class_metrics(baseline, index)
    rows = {name: MetricRow(name=name, candidate=ours[name], baseline=theirs[name]) for name in ours}
    return ClassRow(label=label, num_examples=int(candidate.confusion[index].sum()), **rows)


def _class_metrics(results: ModelResults, index: int) -> dict[str, float | None]:
    hits = results.confusion[index, index]
    return {
        "precision": _ratio(hits, results.confusion[:, index].sum()),
        "recall": _ratio(hits, results.confusion[index].sum()),
        "calibration": _number(results.metrics[f"classId:{index}"], names.CALIBRATION),
    }


def _ratio(part: float, whole: float) -> float | None:
    """None where there is nothing to divide by, such as for the precision of a class that is never predicted."""
    return float(part / whole) if whole else None


def _number(values: Mapping[str, Mapping[str, Any]], key: str) -> float | None:
    """A finite value, or None: TFMA writes NaN as a string."""
    value = float(values[key]["doubleValue"])
    return value if math.isfinite(value) else None
