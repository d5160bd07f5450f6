"""Classes and slices: whether one of them has lost, told for all of them together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.gate.comparison import Comparison
from components.gate.evidence import Evidence
from components.gate.settings import GateSettings, SubsetSettings
from components.gate.statistics.example_weights import num_equal_examples
from components.gate.statistics.multiplicity import holm
from components.gate.statistics.proportions import PairedCounts, mcnemar_gain_p_value, superiority_p_value
from components.gate.verdict_schema import Outcome, RuleKind, RuleOutcome, readable
from components.gate.words import signed

_THE_OTHER = {"baseline": "the frozen baseline", "production": "the production model"}


@dataclass(frozen=True)
class Subset:
    """Some of the test examples.

    Attributes:
        name: the class, or the value of the feature.
        feature: whose value it is; None for a class.
        is_member: bool [examples of the test split].
    """

    name: str
    feature: str | None
    is_member: NDArray[np.bool_]

    @property
    def title(self) -> str:
        """As it is called in words."""
        return f"class {readable(self.name)}" if self.feature is None else f"{self.feature}={readable(self.name)}"


def classes_of(evidence: Evidence) -> list[Subset]:
    """A subset for each class that occurs or is known to the candidate, in the order of its scores."""
    examples = evidence.predictions.examples
    truth = np.array(examples.labels)
    labels = dict.fromkeys((*evidence.predictions.models["candidate"].labels, *sorted(set(examples.labels))))
    return [Subset(label, None, truth == label) for label in labels]


def slices_of(evidence: Evidence) -> list[Subset]:
    """A subset for each value of each feature, sorted."""
    return [
        Subset(value, feature, np.array(values) == value)
        for feature, values in evidence.predictions.examples.features.items()
        for value in sorted(set(values))
    ]


def subset_rules(evidence: Evidence, settings: GateSettings) -> Iterator[RuleOutcome]:
    """Non-inferiority of every class and slice, against the frozen baseline and against production.

    Holm's correction holds within each family: all classes against one model, all slices against one model.
    """
    families: list[tuple[RuleKind, list[Subset], SubsetSettings | None]] = [
        ("class", classes_of(evidence), settings.classes),
        ("slice", slices_of(evidence), settings.slices),
    ]
    comparisons: Mapping[str, Comparison | None] = {
        "baseline": evidence.against_baseline,
        "production": evidence.against_production,
    }
    for kind, subsets, rule in families:
        for other, comparison in comparisons.items():
            if rule is not None and comparison is not None and subsets:
                yield from _family(comparison, _THE_OTHER[other], kind, subsets, rule, settings.alpha)


def _family(
    comparison: Comparison, other: str, kind: RuleKind, subsets: Sequence[Subset], rule: SubsetSettings, alpha: float
) -> Iterator[RuleOutcome]:
    known = [subset for subset in subsets if subset.feature is not None or subset.name in comparison.labels]
    members = [subset.is_member[comparison.rows] for subset in known]
    counts = [comparison.effective_counts(member) for member in members]
    is_told = [count.num_examples >= rule.min_examples and comparison.is_computable for count in counts]  # type: ignore[operator]
    told = outcomes_of(
        [count for count, told in zip(counts, is_told, strict=True) if told],
        rule.margin,
        alpha,
        _weighted_harms(comparison, [member for member, told in zip(members, is_told, strict=True) if told], alpha),
    )
    for index, (subset, member) in enumerate(zip(known, members, strict=True)):
        if is_told[index]:
            yield _told(subset, comparison, member, other, kind, rule, *next(told))
        else:
            yield _untold(subset, comparison, member, other, kind, rule)


def _weighted_harms(
    comparison: Comparison, members: Sequence[NDArray[np.bool_]], alpha: float
) -> Sequence[float] | None:
    """P-values of a loss in each subset, drawn often enough to be small against the level of them all."""
    if comparison.weights is None:
        return None
    num_draws = int(20 * len(members) / alpha)
    return [comparison.sign_flip_p_value(member, 1, num_draws) for member in members]


def outcomes_of(
    counts: Sequence[PairedCounts], margin: float, alpha: float, harms: Sequence[float] | None = None
) -> Iterator[tuple[Outcome, float]]:
    """What is known of each subset of one family, and the corrected p-value that says so.

    Passed where it is shown not to have lost the margin; else failed where it is shown to have lost at all. Either
    errs for any subset of the family with probability at most alpha.

    Args:
        counts: of each subset.
        margin: by how much its accuracy may be lower.
        alpha: level of the family.
        harms: one-sided p-value of a loss in each subset; None for McNemar's of the counts.
    """
    if not counts:
        return
    gained, lost, size = (np.array(part) for part in zip(*(count.arrays() for count in counts), strict=True))
    continuity = np.array([count.continuity for count in counts])
    within = holm(superiority_p_value(PairedCounts(gained, lost, size, continuity), -margin))
    harmed = holm(mcnemar_gain_p_value(lost, gained) if harms is None else harms)
    for p_within, p_harmed in zip(within.tolist(), harmed.tolist(), strict=True):
        if p_within <= alpha:
            yield "passed", p_within
        elif p_harmed <= alpha:
            yield "failed", p_harmed
        else:
            yield "cannot be told", p_within


def _untold(
    subset: Subset,
    comparison: Comparison,
    member: NDArray[np.bool_],
    other: str,
    kind: RuleKind,
    rule: SubsetSettings,
) -> RuleOutcome:
    size = int(member.sum())
    worth = ""
    if comparison.weights is not None:
        worth = f", which by their weights tell as much as {num_equal_examples(comparison.weights[member]):,.0f} would"
    return RuleOutcome(
        kind=kind,
        name=f"{subset.title} against {other}",
        metric="accuracy",
        subset=subset.title.removeprefix("class "),
        threshold=-rule.margin,
        num_examples=size,
        outcome="cannot be told",
        refuses=rule.if_cannot_be_told == "refuse",
        words=f"whether {subset.title} has lost against {other} cannot be told from its {size} test examples"
        f"{worth}; at least {rule.min_examples} are asked for",
    )


def _told(
    subset: Subset,
    comparison: Comparison,
    member: NDArray[np.bool_],
    other: str,
    kind: RuleKind,
    rule: SubsetSettings,
    outcome: Outcome,
    p_value: float,
) -> RuleOutcome:
    gain = comparison.accuracy_gain(member)
    size = int(member.sum())
    words = {
        "passed": f"{subset.title} has not lost more than {rule.margin:.4f} against {other}",
        "failed": f"{subset.title} has lost against {other}: {signed(gain.value)} on {size:,} test examples",
        "cannot be told": f"whether {subset.title} has lost more than {rule.margin:.4f} against {other} cannot be told "
        f"from its {size:,} test examples ({signed(gain.value)})",
    }[outcome]
    return RuleOutcome(
        kind=kind,
        name=f"{subset.title} against {other}",
        metric="accuracy",
        subset=subset.title.removeprefix("class "),
        value=gain.value,
        interval=gain.interval,
        p_value=p_value,
        threshold=-rule.margin,
        num_examples=size,
        outcome=outcome,
        refuses=outcome == "failed" or (outcome == "cannot be told" and rule.if_cannot_be_told == "refuse"),
        words=words,
    )
