"""From predictions whose truth is known to the verdict."""

from typing import Any

import numpy as np
import pytest

from components.gate.comparison import compare
from components.gate.evidence import Evaluation
from components.gate.judge import Stopgap, judge
from components.gate.predictions import ModelName, ModelPredictions, Predictions
from components.gate.settings import BudgetSettings, GateSettings, LatencyBudget, SubsetSettings
from components.gate.verdict_schema import RuleOutcome, Verdict
from tests.unit.components.gate_material import LABELS, evidence_of, predictions_of, right, scores_of, smoke

SIZE = 600
TRUTH = np.arange(SIZE) % 3


def settings_of(**changes: Any) -> GateSettings:
    return GateSettings(**{"floors": {"accuracy": 0.5}, "num_resamples": 300, **changes})


SETTINGS = settings_of()


def made(candidate: float = 0.95, baseline: float = 0.85, production: float | None = None) -> Predictions:
    """Models with these accuracies, right on examples of their own."""
    shares: dict[ModelName, float | None] = {"candidate": candidate, "baseline": baseline, "production": production}
    scores = {
        name: scores_of(TRUTH, right(SIZE, share, seed))
        for seed, (name, share) in enumerate(shares.items())
        if share is not None
    }
    return predictions_of(TRUTH.tolist(), scores)


def judged(predictions: Predictions, settings: GateSettings = SETTINGS, **changes: Any) -> Verdict:
    return judge(evidence_of(predictions, settings, **changes), settings)


def rule(verdict: Verdict, kind: str, words: str = "") -> RuleOutcome:
    (found,) = [rule for rule in verdict.rules if rule.kind == kind and words in rule.name]
    return found


def replaced(predictions: Predictions, name: ModelName, scores: np.ndarray, labels: Any = LABELS) -> Predictions:
    models = {**predictions.models, name: ModelPredictions(labels, scores)}
    return Predictions(predictions.examples, models)


def test_a_clear_gain_is_approved_in_one_sentence() -> None:
    found = judged(made())
    assert found.approved and found.pushes == "candidate"
    assert found.sentence.startswith(
        "The fine-tuned model may be pushed: its gain of +0.1000 in accuracy over the frozen baseline (0.8500) is at "
        "least +0.0"
    )
    assert found.sentence.count(". ") == 0 and found.sentence.endswith(".")
    assert found.mcnemar_baseline is not None
    assert found.mcnemar_baseline.num_gained - found.mcnemar_baseline.num_lost == 60


@pytest.mark.parametrize(
    ("candidate", "outcome", "words"),
    [(0.86, "cannot be told", "cannot be told from 600 test examples"), (0.70, "failed", "a harm")],
)
def test_a_gain_that_chance_explains_and_a_harm_are_refused_in_different_words(
    candidate: float, outcome: str, words: str
) -> None:
    found = judged(made(candidate))
    assert not found.approved and found.pushes == "nothing"
    assert rule(found, "baseline").outcome == outcome
    assert found.sentence.startswith("The fine-tuned model is refused: ") and words in found.sentence


def test_the_bound_and_not_the_estimate_is_held_against_min_gain() -> None:
    assert judged(made(0.95, 0.85), settings_of(min_gain=0.05)).approved
    found = judged(made(0.95, 0.85), settings_of(min_gain=0.09))
    assert rule(found, "baseline").value == pytest.approx(0.1)
    assert rule(found, "baseline").outcome == "cannot be told" and not found.approved


@pytest.mark.parametrize("metric", ["macro_f1", "log_loss", "auc", "calibration_error"])
def test_any_metric_can_be_the_one_that_decides(metric: Any) -> None:
    better = judged(made(0.97, 0.80), settings_of(metric=metric))
    worse = judged(made(0.80, 0.97), settings_of(metric=metric))
    assert rule(better, "baseline").p_value is not None
    assert better.approved == (rule(better, "baseline").outcome == "passed")
    assert rule(worse, "baseline").outcome == "failed" or metric == "calibration_error"
    if metric != "calibration_error":
        assert better.approved


def test_a_margin_allows_what_min_gain_would_refuse() -> None:
    equal = made(0.90, 0.90)
    assert not judged(equal).approved
    assert judged(equal, settings_of(min_gain=None, baseline_margins={"accuracy": 0.05})).approved
    assert not judged(made(0.80, 0.90), settings_of(min_gain=None, baseline_margins={"accuracy": 0.05})).approved


def test_worse_than_production_is_refused_and_as_good_is_not() -> None:
    assert judged(made(0.95, 0.80, 0.94), settings_of(production_margins={"accuracy": 0.03})).approved
    found = judged(made(0.90, 0.80, 0.99), settings_of(production_margins={"accuracy": 0.03}))
    assert rule(found, "production").outcome == "failed" and not found.approved


@pytest.mark.parametrize(("policy", "approved"), [("require_floor", True), ("approve", True), ("refuse", False)])
def test_the_first_push_follows_the_stated_policy(policy: Any, approved: bool) -> None:
    found = judged(made(), settings_of(first_push=policy))
    assert found.approved == approved
    assert "no production model yet" in rule(found, "production").words


def test_a_production_model_that_cannot_be_asked_is_not_passed_over() -> None:
    found = judged(made(), production_failure="it was not made by thaw")
    assert rule(found, "production").outcome == "cannot be told" and not found.approved
    assert "it was not made by thaw" in found.sentence


def test_production_of_other_classes_is_compared_on_the_shared_ones_and_that_is_said() -> None:
    plain = made()
    with_other = replaced(
        plain, "production", scores_of(TRUTH % 2, right(SIZE, 0.5, 9), 2), (LABELS[1], "an old class")
    )
    only_one = judged(with_other, settings_of())
    assert rule(only_one, "production").outcome == "cannot be told", "one shared class says nothing"
    old = np.zeros((SIZE, 3), np.float32)
    old[:, 0], old[:, 1], old[:, 2] = 0.2, 0.2, 0.6  # mostly for the class that is gone
    old[TRUTH == 0, 0] = 0.3
    found = judged(replaced(plain, "production", old, (LABELS[0], LABELS[1], "an old class")))
    assert found.shared_labels == LABELS[:2] and found.num_shared_examples == 400
    assert found.metrics[0].production == pytest.approx((200 + 0) / 400, abs=0.51)
    assert "on the 2 classes that both know" in rule(found, "production").words
    assert any("new: sq uäres; gone: an old class" in warning for warning in found.warnings)


def test_floors_hold_the_measured_value_in_the_metrics_direction() -> None:
    found = judged(made(), settings_of(floors={"accuracy": 0.96, "log_loss": 5.0, "macro_f1": 0.5}))
    assert [(r.metric, r.outcome) for r in found.rules if r.kind == "floor"] == [
        ("accuracy", "failed"),
        ("log_loss", "passed"),
        ("macro_f1", "passed"),
    ]
    assert not found.approved
    assert judged(made(), settings_of(floors={"accuracy": 0.95})).approved, "exactly the floor is enough"
    assert not judged(made(), settings_of(floors={"log_loss": 0.01})).approved


@pytest.mark.parametrize(
    ("budgets", "approved"),
    [
        (BudgetSettings(size_mib=10.0, num_parameters=1000), True),
        (BudgetSettings(size_mib=9.9), False),
        (BudgetSettings(num_parameters=999), False),
        (BudgetSettings(latency=LatencyBudget(batch_1_p95_ms=12.0, batch_32_p50_ms=100.0)), True),
        (BudgetSettings(latency=LatencyBudget(batch_1_p50_ms=9.0)), False),
        (BudgetSettings(latency=LatencyBudget(batch_32_p95_ms=119.0)), False),
    ],
)
def test_budgets_are_kept(budgets: BudgetSettings, approved: bool) -> None:
    assert judged(made(), settings_of(budgets=budgets)).approved == approved


def test_a_class_that_has_lost_behind_an_overall_gain_refuses_the_model() -> None:
    baseline = right(SIZE, 0.60, 1) | (TRUTH == 2)
    candidate = np.where(TRUTH == 2, right(SIZE, 0.7, 3), right(SIZE, 0.99, 2))
    predictions = predictions_of(
        TRUTH.tolist(), {"candidate": scores_of(TRUTH, candidate), "baseline": scores_of(TRUTH, baseline)}
    )
    found = judged(predictions)
    assert rule(found, "baseline").outcome == "passed"
    assert rule(found, "class", LABELS[2]).outcome == "failed"
    assert not found.approved and LABELS[2] in found.sentence
    assert judged(predictions, settings_of(classes=None)).approved
    assert [row.outcome for row in found.class_metrics] == ["passed", "passed", "failed"]


def test_a_class_with_too_few_examples_cannot_be_told_and_refuses_only_where_asked_to() -> None:
    found = judged(made(), settings_of(classes=SubsetSettings(min_examples=201)))
    assert {r.outcome for r in found.rules if r.kind == "class"} == {"cannot be told"}
    assert found.approved and "3 cannot be told" in found.sentence
    assert any("too few test examples" in warning for warning in found.warnings)
    strict = SubsetSettings(min_examples=201, if_cannot_be_told="refuse")
    assert not judged(made(), settings_of(classes=strict)).approved


def test_slices_are_judged_by_the_values_of_their_feature() -> None:
    cameras = ["phone" if number % 2 else "old ü" for number in range(SIZE)]
    is_phone = np.array(cameras) == "phone"
    baseline, candidate = right(SIZE, 0.8, 1) | is_phone, np.where(is_phone, right(SIZE, 0.8, 2), True)
    scores: dict[ModelName, np.ndarray] = {
        "candidate": scores_of(TRUTH, candidate),
        "baseline": scores_of(TRUTH, baseline),
    }
    predictions = predictions_of(TRUTH.tolist(), scores, features={"camera": cameras})
    found = judged(predictions, settings_of(slice_features=("camera",), classes=None, min_gain=None,
                                            baseline_margins={"accuracy": 0.2}))  # fmt: skip
    assert [(row.name, row.feature, row.outcome) for row in found.slices] == [
        ("old ü", "camera", "passed"),
        ("phone", "camera", "failed"),
    ]
    assert not found.approved and "camera=phone has lost" in found.sentence


# What must never pass, whatever the reason.


def test_swapped_candidate_and_baseline_are_refused() -> None:
    plain = made()
    swapped = {**plain.models, "candidate": plain.models["baseline"], "baseline": plain.models["candidate"]}
    assert judged(plain).approved
    assert not judged(Predictions(plain.examples, swapped)).approved


def test_predictions_that_have_seen_the_labels_are_refused() -> None:
    """A model whose recorded answers are better than those it gives, to TFMA and to a stranger."""
    honest = evidence_of(made(0.86, 0.85), SETTINGS)
    leaked = replaced(made(0.86, 0.85), "candidate", scores_of(TRUTH, np.ones(SIZE, bool)))
    found = judged(leaked, evaluation=honest.evaluation)
    assert rule(found, "baseline").outcome == "passed"
    assert rule(found, "evaluation", "agree").outcome == "failed" and not found.approved
    found = judged(leaked, smoke_test=smoke(largest_difference=0.8))
    assert rule(found, "smoke test").outcome == "failed" and not found.approved


def test_shuffled_predictions_are_refused() -> None:
    honest = evidence_of(made(), SETTINGS)
    shuffled = np.random.default_rng(0).permutation(np.asarray(made().models["candidate"].scores))
    found = judged(replaced(made(), "candidate", shuffled), evaluation=honest.evaluation)
    assert not found.approved
    assert rule(found, "baseline").outcome == "failed"
    assert rule(found, "evaluation", "agree").outcome == "failed"


def test_a_dropped_class_is_refused() -> None:
    scores = np.asarray(made().models["candidate"].scores)[:, :2]
    found = judged(replaced(made(), "candidate", scores / scores.sum(axis=1, keepdims=True), LABELS[:2]))
    assert not found.approved
    assert "the candidate does not know sq uäres" in rule(found, "evaluation", "known").words
    assert rule(found, "class", LABELS[2]).outcome == "failed"


@pytest.mark.parametrize("name", ["candidate", "baseline"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(name: ModelName, value: float) -> None:
    scores = np.array(made().models[name].scores)
    scores[7, 1] = value
    found = judged(replaced(made(), name, scores))
    assert not found.approved
    assert f"the scores of the {name} model are not numbers for 1 test examples" in found.warnings
    assert found.metrics[0].candidate is None
    Verdict.model_validate_json(found.model_dump_json())


def test_a_blessing_that_tfma_withholds_counts() -> None:
    metrics = evidence_of(made(), SETTINGS).evaluation.metrics
    found = judged(made(), evaluation=Evaluation(False, metrics))
    assert not found.approved and "TFMA does not bless it" in found.sentence


@pytest.mark.parametrize("failure", ["", "the process ended with status 1: boom"])
def test_a_model_that_does_not_answer_alone_is_refused(failure: str) -> None:
    found = judged(made(), smoke_test=smoke(failure=failure, largest_difference=None))
    assert not found.approved and failure in found.sentence


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_tiny_test_sets_give_a_verdict_and_never_approve(size: int) -> None:
    truth = np.arange(size) % 3
    scores: dict[ModelName, np.ndarray] = {
        "candidate": scores_of(truth, np.ones(size, bool)),
        "baseline": scores_of(truth, np.arange(size) % 2 == 0),
    }
    found = judged(predictions_of(truth.tolist(), scores))
    assert found.approved == (size == 12)
    if size < 12:
        assert rule(found, "baseline").outcome != "passed"


def test_a_test_split_of_one_class_gives_a_verdict() -> None:
    truth = np.zeros(100, int)
    scores: dict[ModelName, np.ndarray] = {
        "candidate": scores_of(truth, np.ones(100, bool)),
        "baseline": scores_of(truth, right(100, 0.7, 0)),
    }
    found = judged(predictions_of(truth.tolist(), scores))
    assert found.approved
    assert next(row for row in found.metrics if row.metric == "auc").candidate is None


def test_the_report_says_what_the_test_set_could_have_shown() -> None:
    found = judged(made(), settings_of(min_gain=0.01))
    assert found.power is not None and found.power.resolution > 0.01
    assert any(f"about {found.power.num_examples_for_min_gain:,} would be needed" in words for words in found.warnings)
    assert judged(made(), settings_of(min_gain=None, baseline_margins={"auc": 0.1})).power is None


def with_stopgap(production: float | None, floor: float, **changes: Any) -> Verdict:
    """A candidate that did harm, beside a baseline of 0.90."""
    settings = settings_of(on_refusal="push_baseline", floors={"accuracy": floor}, **changes)
    predictions = made(0.50, 0.90, production)
    against = compare(predictions, "baseline", "production", settings) if production is not None else None
    return judge(evidence_of(predictions, settings), settings, Stopgap(against, smoke()))


@pytest.mark.parametrize(
    ("production", "floor", "pushes"),
    [(None, 0.85, "baseline"), (None, 0.95, "nothing"), (0.80, 0.85, "baseline"), (0.90, 0.85, "nothing")],
)
def test_the_baseline_takes_the_candidates_place_if_it_reaches_the_floors_and_beats_production(
    production: float | None, floor: float, pushes: str
) -> None:
    found = with_stopgap(production, floor)
    assert not found.approved and found.pushes == pushes
    words = "may be pushed in its place" if pushes == "baseline" else "The frozen baseline is refused, too"
    assert words in found.sentence
    assert any(rule.subject == "baseline" for rule in found.rules)


def test_a_forbidden_first_push_is_forbidden_to_the_baseline_too() -> None:
    assert with_stopgap(None, 0.85, first_push="refuse").pushes == "nothing"


def test_the_same_predictions_give_the_same_bytes() -> None:
    first, second = (judged(made(0.95, 0.85, 0.9)).model_dump_json() for _ in range(2))
    assert first == second
