"""From evidence to a verdict: the conjunction of all rules, and one sentence that says it."""

import math
from dataclasses import dataclass

import numpy as np

from components.gate.budgets import budget_rules
from components.gate.comparison import Comparison
from components.gate.evidence import Evidence
from components.gate.example_weights import example_weights, weight_warnings
from components.gate.rules import (
    baseline_rules,
    beats_production,
    evaluation_rules,
    floor_rules,
    production_rules,
    smoke_rule,
)
from components.gate.settings import GateSettings
from components.gate.smoke_test import TOLERANCE, SmokeTest
from components.gate.statistics.power import Design, accuracy_spread
from components.gate.subsets import subset_rules
from components.gate.tables import class_rows, metric_rows, slice_rows
from components.gate.verdict_schema import Power, RuleOutcome, Verdict, readable
from components.gate.words import METRIC_NAMES, listed, signed

POWER = 0.8


@dataclass(frozen=True)
class Stopgap:
    """The frozen baseline as what may be pushed in the candidate's place.

    Attributes:
        against_production: the baseline beside the production model; None where there is none.
        smoke_test: of the baseline.
    """

    against_production: Comparison | None
    smoke_test: SmokeTest


def candidate_rules(evidence: Evidence, settings: GateSettings) -> tuple[RuleOutcome, ...]:
    """Every rule about the candidate."""
    return (
        *baseline_rules(evidence, settings),
        *production_rules(evidence, settings),
        *floor_rules(evidence.against_baseline, 0, settings, "candidate"),
        *subset_rules(evidence, settings),
        *budget_rules(evidence.models["candidate"], settings.budgets, "candidate"),
        smoke_rule(evidence.smoke_test, TOLERANCE, "candidate"),
        *evaluation_rules(evidence),
    )


def is_approved(rules: tuple[RuleOutcome, ...]) -> bool:
    """The conjunction."""
    return not any(rule.refuses for rule in rules)


def stopgap_rules(evidence: Evidence, stopgap: Stopgap, settings: GateSettings) -> tuple[RuleOutcome, ...]:
    """Every rule about the frozen baseline in the candidate's place."""
    production = stopgap.against_production
    return (
        *((beats_production(production, settings.metric, settings.alpha),) if production else ()),
        *floor_rules(evidence.against_baseline, 1, settings, "baseline"),
        *budget_rules(evidence.models["baseline"], settings.budgets, "baseline"),
        smoke_rule(stopgap.smoke_test, TOLERANCE, "baseline"),
    )


def judge(evidence: Evidence, settings: GateSettings, stopgap: Stopgap | None = None) -> Verdict:
    """The verdict.

    Args:
        evidence: of the candidate.
        settings: the rules.
        stopgap: the frozen baseline; None where it may not be pushed in the candidate's place, or need not be.
    """
    rules = candidate_rules(evidence, settings)
    approved = is_approved(rules)
    of_baseline = stopgap_rules(evidence, stopgap, settings) if stopgap and not approved else ()
    pushes_baseline = bool(of_baseline) and is_approved(of_baseline) and _may_replace(evidence, settings)
    production = evidence.against_production
    power = _power(evidence.against_baseline, settings)
    return Verdict(
        approved=approved,
        pushes="candidate" if approved else "baseline" if pushes_baseline else "nothing",
        sentence=_sentence(rules, approved, of_baseline, pushes_baseline),
        rules=(*rules, *of_baseline),
        warnings=tuple(_warnings(evidence, rules, power, settings)),
        metrics=metric_rows(evidence, settings),
        class_metrics=class_rows(evidence, rules, settings),
        slices=slice_rows(evidence, rules, settings),
        mcnemar_baseline=evidence.against_baseline.mcnemar(),
        mcnemar_production=production.mcnemar() if production else None,
        power=power,
        num_test_examples=len(evidence.predictions.examples.labels),
        example_weights=example_weights(evidence.predictions.examples.weights),
        num_shared_examples=production.num_examples if production else None,
        shared_labels=tuple(map(readable, production.labels)) if production else None,
        models=dict(evidence.models),
        settings=settings,
    )


def _may_replace(evidence: Evidence, settings: GateSettings) -> bool:
    """A production model that cannot be asked is not replaced, and a first push may be forbidden."""
    if evidence.production_failure:
        return False
    return evidence.against_production is not None or settings.first_push != "refuse"


def _sentence(
    rules: tuple[RuleOutcome, ...], approved: bool, of_baseline: tuple[RuleOutcome, ...], pushes_baseline: bool
) -> str:
    if approved:
        untold = sum(rule.outcome == "cannot be told" for rule in rules)
        rest = f"; of {len(rules)} rules, {untold} cannot be told" if untold else f"; all {len(rules)} rules are passed"
        return f"The fine-tuned model may be pushed: {rules[0].words}{rest}."
    sentence = f"The fine-tuned model is refused: {listed([rule.words for rule in rules if rule.refuses])}"
    if pushes_baseline:
        return f"{sentence}. The frozen baseline may be pushed in its place."
    refusing = [rule.words for rule in of_baseline if rule.refuses]
    return f"{sentence}. The frozen baseline is refused, too: {listed(refusing)}." if refusing else f"{sentence}."


def _power(comparison: Comparison, settings: GateSettings) -> Power | None:
    if settings.min_gain is None or not comparison.is_computable:
        return None
    gained, lost, worth = (float(part) for part in comparison.effective_counts().arrays())
    is_accuracy, size = settings.metric == "accuracy", comparison.num_examples
    # By weights, `size` examples tell what `worth` would that count alike; the spread is that of one of the former.
    spread = (
        accuracy_spread(gained, lost, worth) * math.sqrt(size / worth)
        if is_accuracy
        else comparison.spread(settings.metric)
    )
    if not math.isfinite(spread):
        return None
    design = Design(settings.alpha, POWER, settings.min_gain, spread, size, 1.0 if is_accuracy else 0.0)
    observed = comparison.gain(settings.metric).value or 0.0
    return Power(
        power=POWER,
        smallest_gain=design.smallest_gain,
        resolution=design.resolution,
        num_examples_for_min_gain=design.num_examples_for(settings.min_gain),
        num_examples_for_observed_gain=design.num_examples_for(observed - settings.min_gain),
    )


def _warnings(
    evidence: Evidence, rules: tuple[RuleOutcome, ...], power: Power | None, settings: GateSettings
) -> list[str]:
    size = len(evidence.predictions.examples.labels)
    found = [
        *weight_warnings(example_weights(evidence.predictions.examples.weights), size),
        *_power_warnings(power, size, settings),
    ]
    small = [
        rule.subset or ""
        for rule in rules
        if rule.kind in ("class", "slice") and rule.value is None and "baseline" in rule.name
    ]
    if small:
        found.append(f"too few test examples to tell whether they have lost: {listed(small, 5)}")
    for model in evidence.predictions.models:
        scores = evidence.predictions.models[model].scores
        num_wrong = int((~np.isfinite(scores).all(axis=1)).sum())
        if num_wrong:
            found.append(f"the scores of the {model} model are not numbers for {num_wrong:,} test examples")
    return [*found, *_class_warnings(evidence)]


def _power_warnings(power: Power | None, size: int, settings: GateSettings) -> list[str]:
    if power is None:
        return []
    name = METRIC_NAMES[settings.metric]
    found = []
    if power.num_examples_for_min_gain is not None and power.resolution > (settings.min_gain or 0):
        found.append(
            f"{size:,} test examples tell gains in {name} apart that differ by {power.resolution:.4f} or more, at "
            f"{power.power:.0%} power; that is more than min_gain ({settings.min_gain:.4f}), for which about "
            f"{power.num_examples_for_min_gain:,} would be needed"
        )
    elif power.num_examples_for_min_gain is None:
        found.append(
            f"{size:,} test examples show a true gain in {name} of {signed(power.smallest_gain)} or more, at "
            f"{power.power:.0%} power; a smaller one is likely to be refused as one that cannot be told"
        )
    return found


def _class_warnings(evidence: Evidence) -> list[str]:
    production = evidence.predictions.models.get("production")
    if production is None or evidence.against_production is None:
        return []
    ours, theirs = set(evidence.predictions.models["candidate"].labels), set(production.labels)
    if ours == theirs:
        return []
    parts = [
        f"{what} {', '.join(sorted(map(readable, labels)))}"
        for what, labels in (("new:", ours - theirs), ("gone:", theirs - ours))
        if labels
    ]
    return [
        f"the classes are not those of the production model ({'; '.join(parts)}); it is compared on the "
        f"{len(ours & theirs)} shared ones, {evidence.against_production.num_examples:,} test examples"
    ]
