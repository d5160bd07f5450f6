"""Test examples that count by weights: in every metric, interval, test and rule of the gate."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from components.gate.comparison import METRICS, compare
from components.gate.judge import judge
from components.gate.predictions import Predictions, read_predictions, write_predictions
from components.gate.settings import GateSettings, SubsetSettings
from components.gate.statistics.example_weights import (
    effective_counts,
    num_equal_examples,
    relative,
    sign_flip_p_value,
)
from components.gate.statistics.metrics import Answers, value_of
from components.gate.statistics.proportions import PairedCounts, gain_bounds, mcnemar_gain_p_value
from components.gate.verdict_schema import Verdict
from tests.unit.components.gate_material import LABELS, evidence_of, predictions_of, right, scores_of

SIZE = 600
TRUTH = np.arange(SIZE) % 3
CAMERAS = ["phone" if number % 2 else "old" for number in range(SIZE)]


def settings_of(**changes: Any) -> GateSettings:
    return GateSettings(**{"floors": {"accuracy": 0.5}, "num_resamples": 300, "slice_features": ("camera",), **changes})


def made(
    candidate: np.ndarray, baseline: np.ndarray, weights: np.ndarray | None, production: np.ndarray | None = None
) -> Predictions:
    """Models that are right on these examples."""
    named = {"candidate": candidate, "baseline": baseline, "production": production}
    truth = TRUTH[: len(candidate)]
    scores = {name: scores_of(truth, is_right) for name, is_right in named.items() if is_right is not None}
    features = {"camera": CAMERAS[: len(candidate)]}
    return predictions_of(truth.tolist(), scores, features=features, weights=weights)  # type: ignore[arg-type]


def judged(predictions: Predictions, **changes: Any) -> Verdict:
    settings = settings_of(**changes)
    return judge(evidence_of(predictions, settings), settings)


@pytest.mark.parametrize("weight", [1.0, 0.3, 7.0])
def test_equal_weights_change_no_bit_of_the_verdict(weight: float) -> None:
    models = right(SIZE, 0.95, 0), right(SIZE, 0.85, 1)
    without = judged(made(*models, None, right(SIZE, 0.9, 2)), min_gain=0.01)
    weighted = judged(made(*models, np.full(SIZE, weight), right(SIZE, 0.9, 2)), min_gain=0.01)
    changes = {"example_weights": None, "warnings": without.warnings}
    assert weighted.model_copy(update=changes).model_dump_json() == without.model_dump_json()


def test_metrics_are_scikit_learns_by_weight() -> None:
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(3), SIZE).astype(np.float32)
    scores[np.arange(SIZE), TRUTH] += 0.3
    scores /= scores.sum(axis=1, keepdims=True)
    weights, answers = random.gamma(1.0, 1.0, SIZE), Answers(TRUTH, scores)
    predicted = scores.argmax(axis=1)
    areas = [metrics.roc_auc_score(index == TRUTH, scores[:, index], sample_weight=weights) for index in range(3)]
    expected = {
        "accuracy": metrics.accuracy_score(TRUTH, predicted, sample_weight=weights),
        "macro_f1": metrics.f1_score(TRUTH, predicted, average="macro", sample_weight=weights),
        "log_loss": metrics.log_loss(TRUTH, scores.astype(float), sample_weight=weights),
        "auc": np.mean(areas),
    }
    for metric, value in expected.items():
        assert value_of(metric, answers, weights) == pytest.approx(value, rel=1e-6), metric  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS)
def test_an_example_of_weight_three_counts_as_three(metric: Any) -> None:
    random = np.random.default_rng(1)
    scores = random.dirichlet(np.ones(3), SIZE).astype(np.float32)
    weights = random.integers(0, 4, SIZE)
    repeated = Answers(np.repeat(TRUTH, weights), np.repeat(scores, weights, axis=0))
    found = value_of(metric, Answers(TRUTH, scores), weights.astype(float))
    assert found == pytest.approx(value_of(metric, repeated), rel=1e-6)
    assert found != pytest.approx(value_of(metric, Answers(TRUTH, scores)), rel=1e-4)


def test_every_part_of_the_verdict_is_by_weight() -> None:
    """A heavy example for each two light ones."""
    weights = np.where(np.arange(SIZE) % 3 == 0, 4.0, 1.0)
    candidate, baseline = right(SIZE, 0.9, 0), right(SIZE, 0.7, 1)
    found = judged(made(candidate, baseline, weights))
    accuracy = found.metrics[0]
    assert accuracy.candidate == pytest.approx(np.average(candidate, weights=weights))
    assert accuracy.gain_over_baseline is not None
    assert accuracy.gain_over_baseline.value == pytest.approx(np.average(candidate * 1.0 - baseline, weights=weights))
    top = found.metrics[-1]
    assert top.name == "top-3 accuracy" and top.candidate == 1.0
    phone = np.array(CAMERAS) == "phone"
    (row,) = [row for row in found.slices if row.name == "phone"]
    assert row.accuracy.candidate == pytest.approx(np.average(candidate[phone], weights=weights[phone]))
    predicted = np.where(candidate, TRUTH, (TRUTH + 1) % 3)
    for index, of_class in enumerate(found.class_metrics):
        is_called = predicted == index
        assert of_class.precision.candidate == pytest.approx(
            np.average(predicted == TRUTH, weights=weights * is_called)
        )
    assert found.mcnemar_baseline is not None, "each counts once"
    assert found.mcnemar_baseline.num_gained == int((candidate & ~baseline).sum())
    assert found.example_weights is not None
    assert (found.example_weights.smallest, found.example_weights.largest) == (1.0, 4.0)
    assert found.example_weights.num_equal_examples == pytest.approx(num_equal_examples(weights))
    assert "count by their weights, from 1 to 4: the 600 tell as much as 400" in found.warnings[0]
    assert Verdict.model_validate_json(found.model_dump_json()) == found


def test_what_is_gained_on_heavy_examples_outweighs_what_is_lost_on_light_ones() -> None:
    is_heavy = np.arange(SIZE) % 4 == 0
    candidate, baseline = right(SIZE, 0.6, 0) | is_heavy, right(SIZE, 0.8, 1)
    weights = np.where(is_heavy, 9.0, 1.0)
    relaxed: dict[str, Any] = {"classes": None, "slices": SubsetSettings(margin=0.9)}
    assert judged(made(candidate, baseline, weights), **relaxed).approved
    assert not judged(made(candidate, baseline, None), **relaxed).approved
    assert not judged(made(baseline, candidate, weights), **relaxed).approved


def test_a_harm_in_the_heavy_examples_of_a_class_refuses_the_model() -> None:
    """In numbers the class gains; by weight it loses."""
    of_class = TRUTH == 2
    is_heavy = of_class & (np.arange(SIZE) % 4 == 0)
    baseline = np.where(of_class, is_heavy | right(SIZE, 0.5, 1), right(SIZE, 0.6, 2))
    candidate = np.where(of_class, ~is_heavy | right(SIZE, 0.3, 3), right(SIZE, 0.99, 4))
    weights = np.where(is_heavy, 20.0, 1.0)
    settings = settings_of(classes=SubsetSettings(min_examples=10), slices=SubsetSettings(margin=0.9))
    outcomes = {}
    for name, chosen in (("weighted", weights), ("not", None)):
        verdict = judge(evidence_of(made(candidate, baseline, chosen), settings), settings)
        outcomes[name] = {row.name: row.outcome for row in verdict.class_metrics}[LABELS[2]]
    assert outcomes == {"weighted": "failed", "not": "passed"}


def test_examples_of_weight_zero_are_as_good_as_not_there() -> None:
    counts = np.arange(SIZE) < 450
    candidate, baseline = right(SIZE, 0.95, 0), right(SIZE, 0.85, 1)
    found = judged(made(candidate, baseline, counts.astype(float)))
    without = judged(made(candidate[:450], baseline[:450], None))
    assert found.metrics == without.metrics and found.power == without.power
    assert [rule.outcome for rule in found.rules] == [rule.outcome for rule in without.rules]
    assert found.example_weights is not None and found.example_weights.num_left_out == 150
    assert "150 of weight 0 do not count" in found.warnings[0]


def test_weights_go_with_the_predictions_and_older_ones_have_none(tmp_path: Any) -> None:
    models = right(SIZE, 0.9, 0), right(SIZE, 0.9, 1)
    for weights in (None, np.linspace(0, 2, SIZE)):
        write_predictions(made(*models, weights), tmp_path)
        found = read_predictions(tmp_path).examples.weights
        assert found == (None if weights is None else weights.tolist())
    file = tmp_path / "predictions" / "examples.json"
    file.write_text(file.read_text("ascii").replace('"weights"', '"other"'))
    assert read_predictions(tmp_path).examples.weights is None


@pytest.mark.parametrize(("num_gained", "num_lost"), [(0, 0), (6, 1), (1, 6), (9, 7), (40, 25)])
def test_flipped_signs_of_equal_weights_are_mcnemars_test(num_gained: int, num_lost: int) -> None:
    found = sign_flip_p_value(np.full(num_gained, 0.3), np.full(num_lost, 0.3), 20_000, 0)
    exact = float(mcnemar_gain_p_value(num_gained, num_lost))
    assert found == pytest.approx(exact, abs=1e-12 if num_gained + num_lost <= 16 else 0.01)


def test_effective_counts_of_equal_weights_are_the_counts_and_heavy_differences_tell_less() -> None:
    gained, lost = np.arange(SIZE) < 40, np.arange(SIZE) >= 580
    plain = effective_counts(gained, lost, np.full(SIZE, 2.0))
    np.testing.assert_allclose(plain.arrays(), (40, 20, SIZE))
    weights = np.where(gained, 5.0, 1.0)
    heavy = effective_counts(gained, lost, weights)
    assert heavy.num_examples < num_equal_examples(weights) < SIZE  # type: ignore[operator]
    assert float(heavy.gain) == pytest.approx((200 - 20) / weights.sum())
    assert relative(np.full(3, 0.1)) is None


def a_tenth_is_heavy(random: np.random.Generator, size: int) -> np.ndarray:
    return np.where(random.random(size) < 0.1, 10.0, 1.0)


def spread_out(random: np.random.Generator, size: int) -> np.ndarray:
    return np.exp(random.normal(0, 1, size))


# How weights are drawn, and how often two models differ on a heavy example and on a light one.
WORLDS = {
    "spread out": (spread_out, 0.12, 0.12),
    "the heavy ones differ more": (a_tenth_is_heavy, 0.4, 0.05),
    "the heavy ones alone differ": (a_tenth_is_heavy, 0.2, 0.0),
    "the light ones differ more": (a_tenth_is_heavy, 0.02, 0.2),
}


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("advantage", [0.0, 0.5])
@pytest.mark.parametrize("size", [50, 200])
def test_bounds_and_test_by_weight_err_no_more_often_than_alpha_says(name: str, size: int, advantage: float) -> None:
    """Simulated test sets of two models, of which one has a known advantage where they differ, or none."""
    draw, if_heavy, if_light = WORLDS[name]
    random, num_runs = np.random.default_rng(size), 500
    counts, p_values = [], []
    for _ in range(num_runs):
        weights = draw(random, size)
        differs = random.random(size) < np.where(weights > 5, if_heavy, if_light)
        gained = differs & (random.random(size) < 0.5 + advantage / 2)
        found = effective_counts(gained, differs & ~gained, weights)
        counts.append((*found.arrays(), found.continuity))
        p_values.append(sign_flip_p_value(weights[gained], weights[differs & ~gained], 500, 0))
    many = draw(np.random.default_rng(0), 1_000_000)
    truth = advantage * np.average(np.where(many > 5, if_heavy, if_light), weights=many)
    low, high = gain_bounds(PairedCounts(*np.array(counts).T), 0.05)
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / num_runs)
    assert np.mean(low > truth + 1e-9) <= limit
    assert np.mean(high < truth - 1e-9) <= limit
    assert advantage or np.mean(np.array(p_values) <= 0.05) <= limit


def test_models_that_never_differ_cannot_be_told_apart_from_a_few_heavy_examples() -> None:
    """The bootstrap would find an interval of width 0, and pass."""
    weights = np.array([30.0, 1, 1, 1, 1, 1, 1, 1])
    alike = right(8, 0.5, 0)
    settings = settings_of(min_gain=None, baseline_margins={"accuracy": 0.2})
    found = compare(made(alike, alike, weights), "candidate", "baseline", settings).gain("accuracy")
    assert found.interval is not None and found.interval.low is not None and found.interval.low < -0.5
