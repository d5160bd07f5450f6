"""The decision of the gate in every combination, and the words for it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.evaluator import verdict
from components.evaluator.settings import GateSettings
from components.evaluator.verdict import Verdict, decide

RULES = GateSettings(min_accuracy=0.9, min_gain=0.02)


def decided(candidate: float | None, baseline: float | None, blessed: bool = True) -> Verdict:
    return decide(RULES, {"accuracy": candidate, "AUC": 0.5}, {"accuracy": baseline}, 200, blessed)


def test_a_model_that_meets_both_rules_is_approved_with_the_reasons() -> None:
    found = decided(0.95, 0.92)
    assert found.approved
    assert found.sentence == (
        "The fine-tuned model may be pushed: its gain of +0.0300 over the frozen baseline (0.9200) reaches the least "
        "gain +0.0200."
    )
    assert found.reasons[0] == "its accuracy 0.9500 reaches the floor 0.9000"
    assert found.num_test_examples == 200


@pytest.mark.parametrize(
    ("candidate", "baseline", "words", "not_words"),
    [
        (0.89, 0.80, "is below the floor", "least gain"),
        (0.95, 0.94, "is below the least gain", "floor"),
        (0.80, 0.85, "is below the floor", None),
        (0.80, 0.85, "its gain of -0.0500 over the frozen baseline (0.8500) is below the least gain", None),
    ],
)
def test_a_model_that_fails_a_rule_is_refused_with_that_rule(
    candidate: float, baseline: float, words: str, not_words: str | None
) -> None:
    found = decided(candidate, baseline, blessed=False)
    assert not found.approved
    assert found.sentence.startswith("The fine-tuned model is refused: ")
    assert words in found.sentence
    assert not_words is None or not_words not in found.sentence
    assert len(found.reasons) == 2


def test_exactly_the_floor_and_exactly_the_gain_are_enough() -> None:
    rules = GateSettings(min_accuracy=0.75, min_gain=0.25)
    assert decide(rules, {"accuracy": 0.75}, {"accuracy": 0.5}, 4, blessed=True).approved


@pytest.mark.parametrize(
    ("candidate", "baseline", "words"),
    [
        (None, 0.9, "its accuracy is not a number"),
        (0.95, None, "its gain over the frozen baseline cannot be computed"),
    ],
)
def test_an_accuracy_that_is_no_number_is_refused(candidate: float | None, baseline: float | None, words: str) -> None:
    found = decided(candidate, baseline, blessed=True)
    assert not found.approved
    assert words in found.sentence


def test_a_blessing_against_a_rule_does_not_count_and_says_so() -> None:
    found = decided(0.5, 0.4, blessed=True)
    assert not found.approved
    assert "TFMA blessed the model although a rule is not met" in found.reasons[-1]


def test_a_blessing_that_is_withheld_counts_and_says_so() -> None:
    found = decided(0.95, 0.90, blessed=False)
    assert not found.approved
    assert "TFMA did not bless the model although both rules are met" in found.sentence


def test_metrics_stand_side_by_side_with_their_difference() -> None:
    accuracy, auc = decided(0.95, 0.92).metrics
    assert (accuracy.name, accuracy.candidate, accuracy.baseline) == ("accuracy", 0.95, 0.92)
    assert accuracy.difference == pytest.approx(0.03)
    assert (auc.candidate, auc.baseline, auc.difference) == (0.5, None, None)


def test_a_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = decided(0.95, None)
    verdict.write(written, str(tmp_path))
    assert verdict.read(str(tmp_path)) == written


@pytest.mark.parametrize(
    "changes", [{"min_accuracy": 1.1}, {"min_accuracy": float("nan")}, {"min_gain": -2.0}, {"top_k": 1}, {"floor": 0.5}]
)
def test_rules_that_make_no_sense_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GateSettings(**{"min_accuracy": 0.9, **changes})
