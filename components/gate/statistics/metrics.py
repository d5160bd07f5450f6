"""Metrics of a classifier as functions of the examples' weights, so that thousands of resamples are one computation.

A resample of a test set is a weight for each of its examples: how often it was drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.gate.settings import Metric

Floats = NDArray[np.float64]
# From weights [resamples, examples] to values [resamples]; NaN where a metric is not defined.
WeightedMetric = Callable[[Floats], Floats]

NUM_CALIBRATION_BINS = 15
LEAST_PROBABILITY = 1e-7
# Above it, sorting is quicker than comparing every pair.
_MOST_POSITIVES_FOR_PAIRS = 100

HIGHER_IS_BETTER: dict[Metric, bool] = {
    "accuracy": True,
    "macro_f1": True,
    "log_loss": False,
    "auc": True,
    "calibration_error": False,
}


@dataclass(frozen=True)
class Answers:
    """What a model says of labelled examples.

    Attributes:
        truth: int64 [examples], the true class.
        scores: float [examples, classes], finite.
    """

    truth: NDArray[np.int64]
    scores: NDArray[np.floating]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each example: int64 [examples]."""
        return np.asarray(self.scores.argmax(axis=-1), np.int64)

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether that is the true one: bool [examples]."""
        return self.predicted == self.truth


def weighted(metric: Metric, answers: Answers, example_weights: Floats | None = None) -> WeightedMetric:
    """A metric of these answers, as a function of how often each example was drawn.

    Args:
        metric: which.
        answers: of a model.
        example_weights: how much each example counts whenever it is drawn: float64 [examples]; None for all the same.
    """
    area_type = np.float32 if example_weights is None else np.float64
    make = {
        "accuracy": lambda: _mean_of(answers.is_right.astype(np.float64)),
        "macro_f1": lambda: _macro_f1(answers),
        "log_loss": lambda: _mean_of(_log_losses(answers)),
        "auc": lambda: _macro_auc(answers, area_type),
        "calibration_error": lambda: _calibration_error(answers),
    }
    compute = make[metric]()
    return compute if example_weights is None else lambda counts: compute(counts * example_weights)


def value_of(metric: Metric, answers: Answers, example_weights: Floats | None = None) -> float:
    """A metric of all examples, each drawn once; NaN where it is not defined, such as AUC with one class."""
    return float(weighted(metric, answers, example_weights)(np.ones((1, len(answers.truth))))[0])


def _mean_of(values: Floats) -> WeightedMetric:
    def compute(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray(weights @ values / weights.sum(axis=1), np.float64)

    return compute


def _log_losses(answers: Answers) -> Floats:
    total = answers.scores.sum(axis=-1, dtype=np.float64)
    probability = answers.scores[np.arange(len(answers.truth)), answers.truth] / np.maximum(total, LEAST_PROBABILITY)
    return np.asarray(-np.log(np.clip(probability, LEAST_PROBABILITY, 1)), np.float64)


def _macro_f1(answers: Answers) -> WeightedMetric:
    """Mean of the classes' F1 over those that occur or are predicted, as scikit-learn has it."""
    num_classes = answers.scores.shape[1]
    truth, predicted = _indicator(answers.truth, num_classes), _indicator(answers.predicted, num_classes)
    hits = truth.multiply(predicted).tocsr()

    def compute(weights: Floats) -> Floats:
        num_named = weights @ truth + weights @ predicted
        with np.errstate(invalid="ignore"):
            return _mean_where(num_named > 0, 2 * (weights @ hits) / num_named)

    return compute


def _indicator(classes: NDArray[np.int64], num_classes: int) -> sparse.csr_array:
    """[examples, classes], 1 where the example is of the class."""
    rows = np.arange(len(classes))
    return sparse.csr_array((np.ones(len(classes)), (rows, classes)), shape=(len(classes), num_classes))


def _mean_where(is_defined: NDArray[np.bool_], values: Floats) -> Floats:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(is_defined, values, 0).sum(axis=-1) / is_defined.sum(axis=-1), np.float64)


def _calibration_error(answers: Answers) -> WeightedMetric:
    """Expected calibration error of the most probable class, in 15 bins of equal width.

    Source: Guo et al., ICML 2017.
    """
    confidence = answers.scores.max(axis=-1).astype(np.float64)
    bins = np.minimum((confidence * NUM_CALIBRATION_BINS).astype(np.int64), NUM_CALIBRATION_BINS - 1)
    surplus = _indicator(bins, NUM_CALIBRATION_BINS).multiply((confidence - answers.is_right)[:, None]).tocsr()

    def compute(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(weights @ surplus).sum(axis=1) / weights.sum(axis=1), np.float64)

    return compute


def _macro_auc(answers: Answers, area_type: type[np.floating]) -> WeightedMetric:
    """Mean over classes of the area under the curve of each class against the rest; equal scores count a half.

    Args:
        answers: of a model.
        area_type: that pairs are summed in; 32 bits are exact for counts.
    """
    classes = np.unique(answers.truth)
    parts = [_area(answers.scores[:, index], answers.truth == index, area_type) for index in classes]

    def compute(weights: Floats) -> Floats:
        total = np.zeros(len(weights))
        num_defined = np.zeros(len(weights))
        for part in parts:
            area = part(weights)
            is_defined = np.isfinite(area)
            total += np.where(is_defined, area, 0)
            num_defined += is_defined
        with np.errstate(invalid="ignore"):
            return total / num_defined

    return compute


def _area(scores: NDArray[np.floating], is_positive: NDArray[np.bool_], area_type: type[np.floating]) -> WeightedMetric:
    by_pairs = np.count_nonzero(is_positive) <= _MOST_POSITIVES_FOR_PAIRS
    return _by_pairs(scores, is_positive, area_type) if by_pairs else _by_rank(scores, is_positive)


def _by_pairs(
    scores: NDArray[np.floating], is_positive: NDArray[np.bool_], area_type: type[np.floating]
) -> WeightedMetric:
    """The share of pairs that are in the right order, as one product of matrices: quick for few positives."""
    positive, negative = scores[is_positive], scores[~is_positive]

    def compute(weights: Floats) -> Floats:
        wins = (positive[:, None] > negative).astype(area_type)
        wins += 0.5 * (positive[:, None] == negative)
        of_positives, of_negatives = weights[:, is_positive], weights[:, ~is_positive]
        won = of_positives.astype(area_type) @ wins  # of counts and halves: exact in 32 bits
        num_pairs = of_positives.sum(axis=1) * of_negatives.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.einsum("rn,rn->r", won, of_negatives) / num_pairs, np.float64)

    return compute


def _by_rank(scores: NDArray[np.floating], is_positive: NDArray[np.bool_]) -> WeightedMetric:
    order = np.argsort(scores, kind="stable")
    ordered, positive = scores[order], is_positive[order]
    below = np.searchsorted(ordered, ordered[positive], side="left")
    not_above = np.searchsorted(ordered, ordered[positive], side="right")

    def compute(weights: Floats) -> Floats:
        sorted_weights = weights[:, order]
        positives = sorted_weights[:, positive]
        sorted_weights[:, positive] = 0
        negatives = np.zeros((len(weights), len(order) + 1))
        np.cumsum(sorted_weights, axis=1, out=negatives[:, 1:])
        won = (negatives[:, below] + negatives[:, not_above]) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (positives * won).sum(axis=1) / (positives.sum(axis=1) * negatives[:, -1])
        return np.asarray(area, np.float64)

    return compute
