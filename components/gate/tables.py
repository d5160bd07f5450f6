"""The models side by side: what a reader wants to see beside the rules."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.gate.comparison import METRICS, Comparison, Side
from components.gate.evidence import Evidence
from components.gate.settings import GateSettings
from components.gate.statistics.metrics import HIGHER_IS_BETTER, Answers
from components.gate.subsets import Subset, classes_of, slices_of
from components.gate.verdict_schema import ClassRow, Interval, MetricRow, Outcome, RuleOutcome, SubsetRow, readable
from components.gate.words import METRIC_NAMES


def metric_rows(evidence: Evidence, settings: GateSettings) -> tuple[MetricRow, ...]:
    """Every metric of the test split."""
    baseline, production = evidence.against_baseline, evidence.against_production
    rows = [
        MetricRow(
            name=METRIC_NAMES[metric],
            metric=metric,
            higher_is_better=HIGHER_IS_BETTER[metric],
            candidate=baseline.value(metric, 0),
            baseline=baseline.value(metric, 1),
            production=production.value(metric, 1) if production else None,
            candidate_on_shared=production.value(metric, 0) if production else None,
            candidate_interval=baseline.interval(metric, 0),
            baseline_interval=baseline.interval(metric, 1),
            production_interval=production.interval(metric, 1) if production else None,
            gain_over_baseline=baseline.gain(metric),
            gain_over_production=production.gain(metric) if production else None,
        )
        for metric in METRICS
    ]
    k = min(settings.top_k, len(baseline.labels))
    top = MetricRow(
        name=f"top-{k} accuracy",
        candidate=_top_k(baseline, 0, k),
        baseline=_top_k(baseline, 1, k),
        production=_top_k(production, 1, k) if production else None,
        candidate_on_shared=_top_k(production, 0, k) if production else None,
    )
    return (*rows, top)


def _top_k(comparison: Comparison, side: Side, k: int) -> float | None:
    if not comparison.is_computable:
        return None
    answers = (comparison.ours, comparison.theirs)[side]
    of_truth = answers.scores[np.arange(len(answers.truth)), answers.truth]
    return comparison.mean((answers.scores > of_truth[:, None]).sum(axis=1) < k)


def class_rows(evidence: Evidence, rules: Sequence[RuleOutcome], settings: GateSettings) -> tuple[ClassRow, ...]:
    """Every class."""
    return tuple(
        ClassRow(
            **_shared_part(evidence, subset, "recall", rules, settings),
            precision=_row_of_class(evidence, subset, "precision"),
            calibration=_row_of_class(evidence, subset, "calibration"),
        )
        for subset in classes_of(evidence)
    )


def slice_rows(evidence: Evidence, rules: Sequence[RuleOutcome], settings: GateSettings) -> tuple[SubsetRow, ...]:
    """Every value of every feature."""
    return tuple(
        SubsetRow(**_shared_part(evidence, subset, "accuracy", rules, settings)) for subset in slices_of(evidence)
    )


def _shared_part(
    evidence: Evidence, subset: Subset, name: str, rules: Sequence[RuleOutcome], settings: GateSettings
) -> dict[str, Any]:
    title = subset.title.removeprefix("class ")
    kind = "class" if subset.feature is None else "slice"
    outcomes = [rule.outcome for rule in rules if rule.kind == kind and rule.subset == title]
    return {
        "name": readable(subset.name),
        "feature": subset.feature,
        "num_examples": int(subset.is_member.sum()),
        "accuracy": _accuracy_row(evidence, subset, name, settings),
        "outcome": _worst(outcomes),
    }


def _worst(outcomes: Sequence[Outcome]) -> Outcome | None:
    order: tuple[Outcome, ...] = ("failed", "cannot be told", "passed")
    return min(outcomes, key=order.index, default=None)


def _accuracy_row(evidence: Evidence, subset: Subset, name: str, settings: GateSettings) -> MetricRow:
    baseline, production = evidence.against_baseline, evidence.against_production
    if production and subset.feature is None and subset.name not in production.labels:
        production = None

    def part(comparison: Comparison | None, side: Side) -> tuple[float | None, Interval | None]:
        return _accuracy(comparison, side, subset) if comparison else (None, None)

    candidate, frozen, pushed = part(baseline, 0), part(baseline, 1), part(production, 1)
    return MetricRow(
        name=name,
        metric="accuracy",
        candidate=candidate[0],
        candidate_interval=candidate[1],
        baseline=frozen[0],
        baseline_interval=frozen[1],
        production=pushed[0],
        production_interval=pushed[1],
        candidate_on_shared=part(production, 0)[0],
        gain_over_baseline=baseline.accuracy_gain(subset.is_member[baseline.rows]),
        gain_over_production=production.accuracy_gain(subset.is_member[production.rows]) if production else None,
    )


def _accuracy(comparison: Comparison, side: Side, subset: Subset) -> tuple[float | None, Interval | None]:
    is_member = subset.is_member[comparison.rows]
    if not is_member.any() or not comparison.is_computable:
        return None, None
    return comparison.accuracy(side, is_member)


def _row_of_class(evidence: Evidence, subset: Subset, name: str) -> MetricRow:
    baseline, production = evidence.against_baseline, evidence.against_production
    compute = _precision if name == "precision" else _calibration
    return MetricRow(
        name=name,
        candidate=compute(baseline, 0, subset.name),
        baseline=compute(baseline, 1, subset.name),
        production=compute(production, 1, subset.name) if production else None,
        candidate_on_shared=compute(production, 0, subset.name) if production else None,
    )


def _precision(comparison: Comparison, side: Side, label: str) -> float | None:
    if not comparison.is_computable or label not in comparison.labels:
        return None
    answers: Answers = (comparison.ours, comparison.theirs)[side]
    is_called = answers.predicted == comparison.labels.index(label)
    return comparison.mean(answers.is_right, is_called) if is_called.any() else None


def _calibration(comparison: Comparison, side: Side, label: str) -> float | None:
    if not comparison.is_computable or label not in comparison.labels:
        return None
    answers: Answers = (comparison.ours, comparison.theirs)[side]
    index = comparison.labels.index(label)
    share = comparison.mean(answers.truth == index)
    return comparison.mean(answers.scores[:, index]) / share if share else None
