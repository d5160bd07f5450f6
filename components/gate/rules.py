"""The rules about the whole test split and about the exported model; each returns what it found."""

from collections.abc import Iterator

from components.gate.comparison import Comparison
from components.gate.evidence import Evidence
from components.gate.predictions import ModelName
from components.gate.settings import GateSettings, Metric
from components.gate.smoke_test import SmokeTest
from components.gate.statistics.metrics import HIGHER_IS_BETTER
from components.gate.verdict_schema import Gain, Outcome, RuleKind, RuleOutcome, Subject, readable
from components.gate.words import METRIC_NAMES, between, number, signed

# TFMA adds in another order, and an image may be on the edge between two classes.
_MOST_OTHER_ANSWERS = 1
_MOST_LOG_LOSS_APART = 0.01

_JUDGED: tuple[ModelName, ...] = ("candidate", "baseline")
_CHECKED: tuple[Metric, ...] = ("accuracy", "log_loss")
_THE_OTHER = {"baseline": "the frozen baseline", "production": "the production model"}


def evaluation_rules(evidence: Evidence) -> Iterator[RuleOutcome]:
    """TFMA's own decision; whether its figures are those of our predictions; whether every class is known."""
    is_blessed = evidence.evaluation.is_blessed
    yield _verdict_of(
        "evaluation", "TFMA's blessing", is_blessed, f"TFMA {'blesses' if is_blessed else 'does not bless'} it"
    )
    yield _agreement(evidence)
    yield _known_classes(evidence)


def _agreement(evidence: Evidence) -> RuleOutcome:
    size = evidence.against_baseline.num_examples
    wrong = [
        f"the {METRIC_NAMES[metric]} of the {model} is {number(found)} by the predictions and {number(theirs)} by TFMA"
        for side, model in enumerate(_JUDGED)
        for metric in _CHECKED
        if not _is_close(
            metric,
            found := evidence.against_baseline.value(metric, side),
            theirs := evidence.evaluation.metrics[model].get(metric),
            evidence.against_baseline.largest_share,
        )
    ]
    words = "; ".join(wrong) if wrong else "accuracy and log loss of the predictions are those that TFMA found"
    return _verdict_of("evaluation", "predictions agree with TFMA", not wrong, words, num_examples=size)


def _is_close(metric: Metric, found: float | None, theirs: float | None, share: float) -> bool:
    if found is None or theirs is None:
        return False
    limit = _MOST_OTHER_ANSWERS * share + 1e-6 if metric == "accuracy" else _MOST_LOG_LOSS_APART * max(1, theirs)
    return abs(found - theirs) <= limit


def _known_classes(evidence: Evidence) -> RuleOutcome:
    models, labels = evidence.predictions.models, set(evidence.predictions.examples.labels)
    unknown = {name: sorted(labels - set(models[name].labels)) for name in _JUDGED}
    missing = [
        f"the {name} does not know {', '.join(map(readable, found))}" for name, found in unknown.items() if found
    ]
    words = "; ".join(missing) if missing else "both models know every class of the test split"
    return _verdict_of("evaluation", "known classes", not missing, words)


def baseline_rules(evidence: Evidence, settings: GateSettings) -> Iterator[RuleOutcome]:
    """The gain over the frozen baseline, and what may not be worse than it."""
    if settings.min_gain is not None:
        yield _gain_rule(evidence.against_baseline, settings.metric, settings.min_gain, settings.alpha)
    for metric, margin in settings.baseline_margins.items():
        yield margin_rule(evidence.against_baseline, "baseline", metric, margin)


def production_rules(evidence: Evidence, settings: GateSettings) -> Iterator[RuleOutcome]:
    """What may not be worse than production, or what holds while there is none."""
    if evidence.production_failure:
        yield RuleOutcome(
            kind="production",
            name="production model",
            outcome="cannot be told",
            refuses=True,
            words=f"the production model cannot be asked: {evidence.production_failure}",
        )
    elif evidence.against_production is None:
        yield _first_push(settings)
    else:
        for metric, margin in settings.production_margins.items():
            yield margin_rule(evidence.against_production, "production", metric, margin)


def _first_push(settings: GateSettings) -> RuleOutcome:
    words = {
        "require_floor": "there is no production model yet; the floors hold in its place",
        "approve": "there is no production model yet, and first_push is approve",
        "refuse": "there is no production model yet, and first_push is refuse: `thaw approve` pushes the first one",
    }[settings.first_push]
    return _verdict_of("production", "first push", settings.first_push != "refuse", words)


def _gain_rule(comparison: Comparison, metric: Metric, min_gain: float, alpha: float) -> RuleOutcome:
    """Passed where the bound exceeds the least gain, and the exact test of equal models agrees."""
    gain = comparison.tested_gain(metric)
    outcome = _gain_outcome(gain, min_gain, alpha)
    name, other = METRIC_NAMES[metric], number(comparison.value(metric, 1))
    start = f"its gain of {signed(gain.value)} in {name} over the frozen baseline ({other})"
    low, high = (gain.interval.low, gain.interval.high) if gain.interval else (None, None)
    words = {
        "passed": f"{start} is at least {signed(low)}, more than the {signed(min_gain)} asked for",
        "failed": f"{start} is at most {signed(high)}, {'a harm' if (high or 0) < 0 else 'too little'}: "
        f"more than {signed(min_gain)} is asked for",
        "cannot be told": f"whether {start} exceeds the {signed(min_gain)} asked for cannot be told from "
        f"{comparison.num_examples:,} test examples: {between(gain.interval)}",
    }[outcome]
    return RuleOutcome(
        kind="baseline",
        name=f"gain over the frozen baseline in {name}",
        metric=metric,
        value=gain.value,
        interval=gain.interval,
        p_value=gain.p_value,
        threshold=min_gain,
        num_examples=comparison.num_examples,
        outcome=outcome,
        refuses=outcome != "passed",
        words=words,
    )


def _gain_outcome(gain: Gain, min_gain: float, alpha: float) -> Outcome:
    if gain.interval is None or gain.interval.low is None or gain.interval.high is None:
        return "cannot be told"
    if gain.interval.low > min_gain and (gain.p_value is None or gain.p_value <= alpha):
        return "passed"
    return "failed" if gain.interval.high < min_gain else "cannot be told"


def margin_rule(comparison: Comparison, kind: RuleKind, metric: Metric, margin: float) -> RuleOutcome:
    """Non-inferiority: passed where the bound lies above minus the margin; failed where it is shown to be worse."""
    gain, name, other = comparison.gain(metric), METRIC_NAMES[metric], _THE_OTHER[kind]
    outcome = _margin_outcome(gain, margin)
    shared = _on_shared(comparison) if kind == "production" else ""
    start = (
        f"its {name} is {number(comparison.value(metric, 0))}, {other}'s {number(comparison.value(metric, 1))}{shared}"
    )
    words = {
        "passed": f"{start}: not worse by more than {margin:.4f}",
        "failed": f"{start}: that is worse, and perhaps by more than {margin:.4f}",
        "cannot be told": f"{start}: whether it is worse by more than {margin:.4f} cannot be told from "
        f"{comparison.num_examples:,} test examples",
    }[outcome]
    return RuleOutcome(
        kind=kind,
        name=f"not worse than {other} in {name}",
        metric=metric,
        value=gain.value,
        interval=gain.interval,
        threshold=-margin,
        num_examples=comparison.num_examples,
        outcome=outcome,
        refuses=outcome != "passed",
        words=f"{words} (the gain: {between(gain.interval)})",
    )


def _margin_outcome(gain: Gain, margin: float) -> Outcome:
    if gain.interval is None or gain.interval.low is None or gain.interval.high is None:
        return "cannot be told"
    if gain.interval.low > -margin:
        return "passed"
    return "failed" if gain.interval.high < 0 else "cannot be told"


def _on_shared(comparison: Comparison) -> str:
    if not comparison.is_partial:
        return ""
    return (
        f", on the {len(comparison.labels)} classes that both know" if comparison.labels else ", with no class shared"
    )


def floor_rules(comparison: Comparison, side: int, settings: GateSettings, subject: Subject) -> Iterator[RuleOutcome]:
    """Absolute limits, which the measured value has to reach; its interval is told beside it."""
    for metric, floor in settings.floors.items():
        value, is_higher = comparison.value(metric, side), HIGHER_IS_BETTER[metric]
        is_passed = value is not None and (value >= floor if is_higher else value <= floor)
        if value is None:
            relation = "has no value to hold against the limit"
        elif is_higher:
            relation = "reaches the floor" if is_passed else "is below the floor"
        else:
            relation = "is not above the limit" if is_passed else "is above the limit"
        yield RuleOutcome(
            kind="floor",
            name=METRIC_NAMES[metric],
            metric=metric,
            subject=subject,
            value=value,
            interval=comparison.interval(metric, side),
            threshold=floor,
            num_examples=comparison.num_examples,
            outcome="passed" if is_passed else "failed",
            refuses=not is_passed,
            words=f"its {METRIC_NAMES[metric]} {number(value)} {relation} {floor:.4f}",
        )


def smoke_rule(found: SmokeTest, threshold: float, subject: Subject) -> RuleOutcome:
    """Whether the exported model answers as it was evaluated, where none of our code is."""
    if found.failure:
        words = f"the exported model fails in a process of its own: {found.failure}"
    elif found.largest_difference is None:
        words = "the exported model answers in another form than it was evaluated, or not in numbers"
    else:
        start = f"in a process of its own, the exported model answers {found.num_images} photographs of "
        start += f"{found.num_classes} classes "
        words = start + (
            "as it was evaluated"
            if found.is_passed
            else f"otherwise than it was evaluated: scores differ by up to {found.largest_difference:.2g}"
        )
    return RuleOutcome(
        kind="smoke test",
        name="smoke test",
        subject=subject,
        value=found.largest_difference,
        threshold=threshold,
        num_examples=found.num_images,
        outcome="passed" if found.is_passed else "failed",
        refuses=not found.is_passed,
        words=words,
    )


def beats_production(comparison: Comparison, metric: Metric, alpha: float) -> RuleOutcome:
    """Of the frozen baseline: a gain over production that is shown."""
    gain = comparison.tested_gain(metric)
    outcome = _gain_outcome(gain, 0.0, alpha)
    start = f"its gain of {signed(gain.value)} in {METRIC_NAMES[metric]} over the production model"
    words = {"passed": "is shown", "failed": "is none", "cannot be told": "cannot be told from chance"}[outcome]
    return RuleOutcome(
        kind="production",
        name=f"gain over the production model in {METRIC_NAMES[metric]}",
        metric=metric,
        subject="baseline",
        value=gain.value,
        interval=gain.interval,
        p_value=gain.p_value,
        threshold=0.0,
        num_examples=comparison.num_examples,
        outcome=outcome,
        refuses=outcome != "passed",
        words=f"{start} {words} ({between(gain.interval)})",
    )


def _verdict_of(kind: RuleKind, name: str, is_passed: bool, words: str, num_examples: int | None = None) -> RuleOutcome:
    return RuleOutcome(
        kind=kind,
        name=name,
        num_examples=num_examples,
        outcome="passed" if is_passed else "failed",
        refuses=not is_passed,
        words=words,
    )
