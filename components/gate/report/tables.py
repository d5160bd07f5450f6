"""The rows of the report's tables, in words and numbers as people read them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.gate.verdict_schema import Gain, Interval, MetricRow, Outcome, Power, RuleOutcome, SubsetRow, Verdict

_MINUS = "\N{MINUS SIGN}"
_NOTHING = "–"
_MOST_SUBSETS = 40
_MOST_HARMLESS_SUBSETS = 24
_LEAST_REACH = 0.05
_MARKS: dict[Outcome, str] = {"passed": "✓", "failed": "✗", "cannot be told": "?"}


@dataclass(frozen=True)
class RuleRow:
    """One rule.

    Attributes:
        mark: a sign for the outcome, so that it needs no colour.
        outcome: in words.
        tone: "good", "bad" or "open".
        refuses: whether it refuses the model.
        kind: which sort of rule, and which model it is about if not the candidate.
        name: of the rule.
        words: what was found.
        value: with its unit.
        interval: of the value.
        threshold: with its unit.
        p_value: of the test.
    """

    mark: str
    outcome: str
    tone: str
    refuses: bool
    kind: str
    name: str
    words: str
    value: str
    interval: str
    threshold: str
    p_value: str


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, both as text."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class MetricLine:
    """One metric of all models; `production` and what follows from it are None without such a model."""

    name: str
    note: str
    candidate: Estimate
    baseline: Estimate
    gain: Estimate
    production: Estimate | None
    gain_over_production: Estimate | None


@dataclass(frozen=True)
class Bar:
    """An interval on a line with zero in its middle, in percent of the line's length."""

    left: float
    width: float
    point: float
    tone: str


@dataclass(frozen=True)
class SubsetLine:
    """One class or slice: accuracy of both models within it, and the gain with its interval."""

    name: str
    num_examples: int
    candidate: str
    baseline: str
    gain: Estimate
    bar: Bar | None
    mark: str
    outcome: str
    production: Estimate | None


@dataclass(frozen=True)
class SubsetTable:
    """Classes or slices, those that lost most first.

    Attributes:
        title: what they are.
        lines: as many as are shown.
        num_all: how many there are.
        reach: value at either end of the bars.
        has_production: whether there is a production model.
    """

    title: str
    lines: Sequence[SubsetLine]
    num_all: int
    reach: str
    has_production: bool


def number(value: float | None) -> str:
    """Four digits, or a dash."""
    return _NOTHING if value is None else f"{value:.4f}".replace("-", _MINUS)


def signed(value: float | None) -> str:
    """The same with a sign."""
    return _NOTHING if value is None else f"{value:+.4f}".replace("-0.0000", "+0.0000").replace("-", _MINUS)


def bounds(interval: Interval | None, *, with_sign: bool = False) -> str:
    """Both bounds; "" where there are none."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    form = signed if with_sign else number
    return f"{form(interval.low)} … {form(interval.high)}"


def within_range(row: MetricRow, name: str) -> Interval | None:
    """An interval of a metric's value without what the metric cannot be: none of ours is negative, most are shares."""
    interval: Interval | None = getattr(row, name)
    if interval is None or interval.low is None or interval.high is None:
        return interval
    most = interval.high if row.metric == "log_loss" else min(interval.high, 1.0)
    return interval.model_copy(update={"low": max(interval.low, 0.0), "high": most})


def rule_rows(rules: Iterable[RuleOutcome]) -> list[RuleRow]:
    """Every rule: those that refuse come first, classes and slices last, and among them what cannot be told first."""
    ordered = sorted(rules, key=lambda rule: (not rule.refuses, is_of_subset(rule), rule.outcome == "passed"))
    return [_rule_row(rule) for rule in ordered]


def is_of_subset(rule: RuleOutcome) -> bool:
    """Whether it is one of many, about a class or a slice."""
    return rule.kind in ("class", "slice")


def folded(rules: Sequence[RuleOutcome]) -> tuple[list[RuleOutcome], list[RuleOutcome]]:
    """The rules to show at once; and those of classes and slices that refuse nothing, where these are very many."""
    harmless = [rule for rule in rules if is_of_subset(rule) and not rule.refuses]
    if len(harmless) <= _MOST_HARMLESS_SUBSETS:
        return list(rules), []
    return [rule for rule in rules if not is_of_subset(rule) or rule.refuses], harmless


def _rule_row(rule: RuleOutcome) -> RuleRow:
    is_gain = rule.kind in ("baseline", "production", "class", "slice")
    return RuleRow(
        mark=_MARKS[rule.outcome],
        outcome=rule.outcome,
        tone="bad" if rule.refuses else "open" if rule.outcome != "passed" else "good",
        refuses=rule.refuses,
        kind=rule.kind if rule.subject == "candidate" else f"{rule.kind}, of the frozen baseline",
        name=rule.name,
        words=f"{rule.words[:1].upper()}{rule.words[1:]}.",
        value=_measured(rule.value, rule.unit, is_gain),
        interval=bounds(rule.interval, with_sign=is_gain),
        threshold=_measured(rule.threshold, rule.unit, is_gain),
        p_value="" if rule.p_value is None else f"{rule.p_value:.2g}",
    )


def _measured(value: float | None, unit: str, is_gain: bool) -> str:
    if value is None:
        return ""
    if is_gain:
        return signed(value)
    if unit or abs(value) >= 1000:
        return f"{value:,.4g} {unit}".rstrip() if unit else f"{value:,.0f}"
    return number(value) if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}".replace("-", _MINUS)


def metric_lines(verdict: Verdict) -> list[MetricLine]:
    """A line per metric."""
    return [_metric_line(row, "production" in verdict.models) for row in verdict.metrics]


def _metric_line(row: MetricRow, has_production: bool) -> MetricLine:
    return MetricLine(
        name=row.name,
        note="" if row.higher_is_better else "lower is better",
        candidate=Estimate(number(row.candidate), bounds(within_range(row, "candidate_interval"))),
        baseline=Estimate(number(row.baseline), bounds(within_range(row, "baseline_interval"))),
        gain=_gain(row.gain_over_baseline, row.candidate, row.baseline),
        production=Estimate(number(row.production), bounds(within_range(row, "production_interval")))
        if has_production
        else None,
        gain_over_production=_gain(row.gain_over_production, row.candidate_on_shared, row.production)
        if has_production
        else None,
    )


def _gain(gain: Gain | None, ours: float | None, theirs: float | None) -> Estimate:
    """A metric that is only looked at has a difference, but no gain with an interval."""
    if gain is None:
        return Estimate(signed(None if ours is None or theirs is None else ours - theirs))
    return Estimate(signed(gain.value), bounds(gain.interval, with_sign=True))


def subset_table(title: str, rows: Sequence[SubsetRow], verdict: Verdict) -> SubsetTable:
    """Sorted by the gain over the frozen baseline, the greatest loss first; of very many, both ends."""
    ordered = sorted(rows, key=lambda row: (_gain_of(row), row.name))
    half = _MOST_SUBSETS // 2
    shown = ordered if len(ordered) <= _MOST_SUBSETS else [*ordered[:half], *ordered[-half:]]
    reach = max([_LEAST_REACH, *(abs(end) for row in shown for end in _ends(row))])
    has_production = "production" in verdict.models
    lines = [_subset_line(row, reach, has_production) for row in shown]
    return SubsetTable(title, lines, len(ordered), f"{reach:.2f}", has_production)


def _gain_of(row: SubsetRow) -> float:
    gain = row.accuracy.gain_over_baseline
    return gain.value if gain and gain.value is not None else 0.0


def _ends(row: SubsetRow) -> tuple[float, ...]:
    gain = row.accuracy.gain_over_baseline
    interval = gain.interval if gain else None
    return tuple(end for end in (interval.low, interval.high) if end is not None) if interval else ()


def _subset_line(row: SubsetRow, reach: float, has_production: bool) -> SubsetLine:
    accuracy = row.accuracy
    return SubsetLine(
        name=row.name if row.feature is None else f"{row.feature}={row.name}",
        num_examples=row.num_examples,
        candidate=number(accuracy.candidate),
        baseline=number(accuracy.baseline),
        gain=_gain(accuracy.gain_over_baseline, accuracy.candidate, accuracy.baseline),
        bar=_bar(row, reach),
        mark=_MARKS[row.outcome] if row.outcome else "",
        outcome=row.outcome or "no rule",
        production=_gain(accuracy.gain_over_production, accuracy.candidate_on_shared, accuracy.production)
        if has_production
        else None,
    )


def _bar(row: SubsetRow, reach: float) -> Bar | None:
    ends = _ends(row)
    if len(ends) < 2:
        return None
    low, high, point = (50 + 50 * part / reach for part in (*ends, _gain_of(row)))
    tone = "bad" if ends[1] < 0 else "good" if ends[0] > 0 else "open"
    return Bar(round(low, 2), round(high - low, 2), round(point, 2), tone)


def power_sentences(power: Power | None, verdict: Verdict) -> list[str]:
    """What this test split could have shown."""
    if power is None:
        return []
    asked = verdict.settings.min_gain or 0.0
    found = [
        f"With {verdict.num_test_examples:,} test images, a true gain of {signed(power.smallest_gain)} or more in "
        f"{verdict.settings.metric.replace('_', ' ')} would pass the rule with {power.power:.0%} probability; two "
        f"models are told apart from {signed(power.resolution)}."
    ]
    if power.num_examples_for_min_gain is not None:
        found.append(
            f"To tell the gain asked for ({signed(asked)}) from none, about {power.num_examples_for_min_gain:,} test "
            "images are needed."
        )
    if power.num_examples_for_observed_gain is not None:
        found.append(
            f"If the gain that was found is the true one, about {power.num_examples_for_observed_gain:,} test images "
            f"let it pass with {power.power:.0%} probability."
        )
    return found


def tally(rules: Sequence[RuleOutcome]) -> str:
    """Such as "12 rules: 10 passed, 1 failed, 1 cannot be told"."""
    counts = {outcome: sum(rule.outcome == outcome for rule in rules) for outcome in _MARKS}
    parts = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"{len(rules)} rule{'s' * (len(rules) != 1)}: {parts}"
