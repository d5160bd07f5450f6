"""The gate's statistics against scikit-learn, against full enumeration, and against what they promise."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import gammaln
from sklearn import metrics as reference

from components.gate.settings import Metric
from components.gate.statistics.metrics import NUM_CALIBRATION_BINS, Answers, value_of, weighted
from components.gate.statistics.multiplicity import holm
from components.gate.statistics.power import Design, accuracy_spread
from components.gate.statistics.proportions import (
    PairedCounts,
    gain_bounds,
    mcnemar_gain_p_value,
    mcnemar_p_value,
    share_bounds,
    superiority_p_value,
)
from components.gate.statistics.resampling import bootstrap, bootstrap_bounds, randomisation_p_value

METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "log_loss", "auc", "calibration_error")


def answers(num_examples: int, num_classes: int = 4, skill: float = 1.5, seed: int = 0) -> Answers:
    """Random scores, some of them equal, that know something of the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, num_classes, num_examples)
    logits = random.normal(size=(num_examples, num_classes)).round(1)
    logits[np.arange(num_examples), truth] += skill
    scores = np.exp(logits)
    return Answers(truth, scores / scores.sum(axis=1, keepdims=True))


def reference_value(metric: Metric, found: Answers, weights: np.ndarray) -> float:
    predicted = found.scores.argmax(axis=1)
    options = {"sample_weight": weights}
    if metric == "accuracy":
        return reference.accuracy_score(found.truth, predicted, **options)
    if metric == "macro_f1":
        return reference.f1_score(found.truth, predicted, average="macro", **options)
    if metric == "log_loss":
        return reference.log_loss(found.truth, found.scores, **options)
    if metric == "auc":
        areas = [reference.roc_auc_score(found.truth == c, found.scores[:, c], **options) for c in range(4)]
        return float(np.mean(areas))
    confidence, total = found.scores.max(axis=1), 0.0
    for index in range(NUM_CALIBRATION_BINS):
        low, high = index / NUM_CALIBRATION_BINS, (index + 1) / NUM_CALIBRATION_BINS
        chosen = (confidence >= low) & ((confidence < high) | (index == NUM_CALIBRATION_BINS - 1))
        total += abs((weights * (confidence - (predicted == found.truth)))[chosen].sum())
    return float(total / weights.sum())


@pytest.mark.parametrize("metric", METRICS)
def test_weighted_metrics_equal_scikit_learns(metric: Metric) -> None:
    found = answers(200)
    weights = np.random.default_rng(1).integers(0, 4, (3, 200)).astype(float)
    values = weighted(metric, found)(weights.copy())
    for row, value in zip(weights, values, strict=True):
        assert value == pytest.approx(reference_value(metric, found, row), abs=1e-9)


def test_the_two_ways_to_an_area_under_the_curve_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.gate.statistics import metrics

    found, weights = answers(300), np.random.default_rng(1).integers(0, 3, (5, 300)).astype(float)
    monkeypatch.setattr(metrics, "_MOST_POSITIVES_FOR_PAIRS", 300)
    by_pairs = weighted("auc", found)(weights.copy())
    monkeypatch.setattr(metrics, "_MOST_POSITIVES_FOR_PAIRS", 0)
    np.testing.assert_allclose(by_pairs, weighted("auc", found)(weights.copy()), atol=1e-7)


def test_macro_f1_of_resamples_counts_classes_that_occur_as_scikit_learn_does() -> None:
    found = Answers(np.array([0, 0, 1, 2]), np.eye(3)[[0, 1, 1, 2]])
    expected = reference.f1_score([0, 0, 1], [0, 1, 1], average="macro")
    assert weighted("macro_f1", found)(np.array([[1.0, 1.0, 1.0, 0.0]]))[0] == pytest.approx(expected)


def test_auc_with_one_class_is_not_defined() -> None:
    assert np.isnan(value_of("auc", Answers(np.zeros(5, np.int64), np.full((5, 2), 0.5))))


def error_rate(num_examples: int, gain: float, alpha: float) -> float:
    """The largest chance to pass with a true gain equal to the threshold, over all shares on which models differ."""
    grid = np.meshgrid(np.arange(num_examples + 1), np.arange(num_examples + 1), indexing="ij")
    gained, lost = (part[grid[0] + grid[1] <= num_examples] for part in grid)
    passes = superiority_p_value(PairedCounts(gained, lost, num_examples), gain) <= alpha
    gained, lost = gained[passes], lost[passes]
    same = num_examples - gained - lost
    ways = gammaln(num_examples + 1) - gammaln(gained + 1) - gammaln(lost + 1) - gammaln(same + 1)
    worst = 0.0
    for differing in np.concatenate([[abs(gain) + 1e-6, abs(gain) + 0.004], np.linspace(abs(gain) + 0.02, 0.999, 25)]):
        up, down = (differing + gain) / 2, (differing - gain) / 2
        chance = ways + gained * np.log(up) + lost * np.log(down) + same * np.log1p(-differing)
        worst = max(worst, float(np.exp(chance).sum()))
    return worst


@pytest.mark.parametrize("num_examples", [20, 50, 120, 200])
@pytest.mark.parametrize("gain", [-0.1, -0.02, 0.0, 0.03, 0.1])
def test_a_gain_no_larger_than_asked_for_passes_at_most_as_often_as_alpha_says(num_examples: int, gain: float) -> None:
    """All outcomes are enumerated; nothing is simulated."""
    assert error_rate(num_examples, gain, 0.05) <= 0.05


def test_bounds_are_where_the_test_turns() -> None:
    counts = PairedCounts(np.array([12, 3, 0]), np.array([2, 9, 0]), 120)
    low, high = gain_bounds(counts, 0.05)
    assert (low < counts.gain).all() and (counts.gain < high).all()
    np.testing.assert_allclose(superiority_p_value(counts, low), 0.05, rtol=1e-3)
    mirrored_low, mirrored_high = gain_bounds(PairedCounts(counts.num_lost, counts.num_gained, 120), 0.05)
    np.testing.assert_allclose(mirrored_low, -high)
    np.testing.assert_allclose(mirrored_high, -low)


def test_models_that_never_differ_leave_a_gain_that_one_example_could_have_shown() -> None:
    low, high = gain_bounds(PairedCounts(0, 0, 100), 0.05)
    assert -0.05 < low < -0.01 and high == pytest.approx(-float(low))


def test_mcnemar_is_the_binomial_test() -> None:
    from scipy.stats import binomtest

    for gained, lost in ((0, 0), (5, 0), (7, 3), (3, 7), (40, 41)):
        if gained + lost:
            assert mcnemar_p_value(gained, lost) == pytest.approx(binomtest(gained, gained + lost).pvalue)
            one_sided = binomtest(gained, gained + lost, alternative="greater").pvalue
            assert mcnemar_gain_p_value(gained, lost) == pytest.approx(one_sided)
    assert mcnemar_p_value(0, 0) == mcnemar_gain_p_value(0, 0) == 1.0


def test_share_bounds_are_wilsons() -> None:
    from scipy.stats import binomtest

    low, high = share_bounds(45, 50, 0.05)
    expected = binomtest(45, 50).proportion_ci(0.9, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_holm_steps_down() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("metric", ["macro_f1", "log_loss", "auc", "calibration_error"])
def test_the_bootstrap_gives_the_same_interval_for_the_same_seed_and_holds_the_value(metric: Metric) -> None:
    def bounds(seed: int) -> tuple[float, float] | None:
        statistic = {"it": weighted(metric, answers(150))}
        return bootstrap_bounds(bootstrap(statistic, 150, 400, seed)["it"], 0.05)

    first, second, other = bounds(1), bounds(1), bounds(2)
    assert first is not None and first == second
    # Where the jackknife's interval is the wider one on both sides, the seed does not show.
    assert first != other or metric == "calibration_error"
    assert first[0] < value_of(metric, answers(150)) < first[1]


def test_chunks_change_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.gate.statistics import resampling

    statistic = {"it": weighted("auc", answers(80))}
    whole = bootstrap(statistic, 80, 300, 0)["it"]
    monkeypatch.setattr(resampling, "_NUM_WEIGHTS_AT_ONCE", 80 * 7)
    parts = bootstrap(statistic, 80, 300, 0)["it"]
    np.testing.assert_allclose(parts.drawn, whole.drawn)
    np.testing.assert_allclose(parts.left_out, whole.left_out)


def test_an_interval_of_what_is_not_defined_is_none() -> None:
    one_class = Answers(np.zeros(20, np.int64), np.full((20, 2), 0.5))
    assert bootstrap_bounds(bootstrap({"it": weighted("auc", one_class)}, 20, 200, 0)["it"], 0.05) is None
    single = answers(1)
    assert bootstrap_bounds(bootstrap({"it": weighted("accuracy", single)}, 1, 200, 0)["it"], 0.05) is None


def stacked(first: Answers, second: Answers) -> Answers:
    return Answers(np.concatenate([first.truth, second.truth]), np.concatenate([first.scores, second.scores]))


def test_the_randomisation_test_of_accuracy_is_mcnemars() -> None:
    first, second = answers(100, skill=2.5, seed=0), answers(100, skill=2.5, seed=0)
    better = Answers(first.truth, np.where((np.arange(100) < 6)[:, None], np.eye(4)[first.truth], first.scores))
    counts = (int((better.is_right & ~second.is_right).sum()), int((second.is_right & ~better.is_right).sum()))
    p_value = randomisation_p_value(weighted("accuracy", stacked(better, second)), 100, True, 4000, 0)
    assert p_value == pytest.approx(float(mcnemar_gain_p_value(*counts)), abs=0.03)


@pytest.mark.parametrize(("metric", "higher"), [("auc", True), ("log_loss", False), ("macro_f1", True)])
def test_the_randomisation_test_finds_the_better_model_in_the_metrics_direction(metric: Metric, higher: bool) -> None:
    random = np.random.default_rng(0)
    weak = answers(150, skill=1.0)
    logits = np.log(weak.scores) + 1.0 * np.eye(4)[weak.truth] + random.normal(0, 0.1, weak.scores.shape)
    strong = Answers(weak.truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    p_better = randomisation_p_value(weighted(metric, stacked(strong, weak)), 150, higher, 500, 0)
    p_worse = randomisation_p_value(weighted(metric, stacked(weak, strong)), 150, higher, 500, 0)
    assert p_better < 0.01 and p_worse > 0.9


def test_the_randomisation_test_never_finds_equal_models_different() -> None:
    same = answers(60)
    assert randomisation_p_value(weighted("log_loss", stacked(same, same)), 60, False, 300, 0) == 1.0


def test_power_is_what_simulation_finds() -> None:
    """At the smallest gain, four of five test sets pass."""
    differing, size = 0.12, 1000
    spread = accuracy_spread(int(size * differing), 0, size)
    design = Design(0.05, 0.8, 0.0, spread, size, 1.0)
    gain = design.smallest_gain
    random = np.random.default_rng(0)
    up, down = (differing + gain) / 2, (differing - gain) / 2
    drawn = random.multinomial(size, [up, down, 1 - up - down], 20_000)
    passed = superiority_p_value(PairedCounts(drawn[:, 0], drawn[:, 1], size), 0.0) <= 0.05
    assert passed.mean() == pytest.approx(0.8, abs=0.03)


def test_the_number_of_examples_needed_makes_the_gain_the_smallest_one() -> None:
    design = Design(0.05, 0.8, 0.0, 0.3, 200, 1.0)
    needed = design.num_examples_for(0.01)
    assert needed is not None and needed > 200
    assert Design(0.05, 0.8, 0.0, 0.3, needed, 1.0).resolution == pytest.approx(0.01, rel=1e-3)
    assert design.num_examples_for(0.0) is None


def test_memory_stays_bounded_for_ten_thousand_examples(most_memory_mib: Callable[..., float]) -> None:
    found = answers(10_000, num_classes=10)
    statistics = {metric: weighted(metric, found) for metric in ("macro_f1", "log_loss", "calibration_error")}
    assert most_memory_mib(lambda: bootstrap(statistics, 10_000, 2000, 0)) < 300
