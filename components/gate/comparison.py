"""Two models on the same examples: every metric of both, and their paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from components.gate.predictions import ModelName, ModelPredictions, Predictions
from components.gate.settings import GateSettings, Metric
from components.gate.statistics.example_weights import (
    effective_counts,
    effective_share,
    num_equal_examples,
    relative,
    sign_flip_p_value,
)
from components.gate.statistics.metrics import HIGHER_IS_BETTER, Answers, Floats, value_of, weighted
from components.gate.statistics.proportions import (
    PairedCounts,
    gain_bounds,
    mcnemar_gain_p_value,
    mcnemar_p_value,
    share_bounds,
)
from components.gate.statistics.resampling import Replicates, bootstrap, bootstrap_bounds, randomisation_p_value
from components.gate.verdict_schema import Gain, Interval, McNemar

METRICS: tuple[Metric, ...] = get_args(Metric)
Side = int
"""0 for the model that is judged, 1 for the one that it is compared with."""


@dataclass(frozen=True)
class Comparison:
    """The judged model and another one on the examples whose class both know.

    Attributes:
        labels: the classes that are scored.
        ours: answers of the judged model.
        theirs: answers of the other one.
        rows: which examples of the test split these are.
        settings: level, resamples and seed.
        is_partial: whether one of the two knows classes that the other does not.
        metrics: what may be asked for.
        weights: how much each of these examples counts, 1 on average: float64 [examples]; None where all count alike.
    """

    labels: tuple[str, ...]
    ours: Answers
    theirs: Answers
    rows: NDArray[np.int64]
    settings: GateSettings
    is_partial: bool = False
    metrics: tuple[Metric, ...] = METRICS
    weights: Floats | None = None

    @property
    def num_examples(self) -> int:
        """How many examples are compared."""
        return len(self.rows)

    @property
    def num_equal_examples(self) -> float:
        """How many examples that count alike would tell as much."""
        return self.num_examples if self.weights is None else num_equal_examples(self.weights)

    @property
    def largest_share(self) -> float:
        """By how much at most one example can move an accuracy."""
        if self.weights is None:
            return 1 / max(1, self.num_examples)
        return float(self.weights.max() / self.weights.sum())

    @cached_property
    def is_computable(self) -> bool:
        """Whether there is something to compare: an example, two classes, and scores that are numbers."""
        return (
            self.num_examples > 0
            and len(self.labels) > 1
            and all(np.isfinite(side.scores).all() for side in (self.ours, self.theirs))
        )

    @cached_property
    def _replicates(self) -> Mapping[tuple[Metric, Side], Replicates]:
        sides = (self.ours, self.theirs)
        statistics = {
            (metric, side): weighted(metric, sides[side], self.weights) for metric in self.metrics for side in (0, 1)
        }
        size = self.num_equal_examples
        return bootstrap(statistics, self.num_examples, self.settings.num_resamples, self.settings.seed, size)

    def value(self, metric: Metric, side: Side) -> float | None:
        """A metric of one of the two; None where it is not defined."""
        return _number(value_of(metric, (self.ours, self.theirs)[side], self.weights)) if self.is_computable else None

    def interval(self, metric: Metric, side: Side) -> Interval | None:
        """The interval of it."""
        if not self.is_computable:
            return None
        if metric == "accuracy":
            return self.accuracy(side, np.ones(self.num_examples, bool))[1]
        return _bootstrap_interval(self._replicates[metric, side], self.settings.alpha)

    def gain(self, metric: Metric) -> Gain:
        """How much better ours is, with its interval; accuracy has its p-value, too."""
        if not self.is_computable:
            return Gain(value=None)
        if metric == "accuracy":
            return self.accuracy_gain()
        difference = self._difference(metric)
        return Gain(value=_number(difference.value), interval=_bootstrap_interval(difference, self.settings.alpha))

    def tested_gain(self, metric: Metric) -> Gain:
        """The same with the p-value of a test that is exact for equal models."""
        gain = self.gain(metric)
        if metric == "accuracy" or gain.value is None:
            return gain
        both = (self.ours, self.theirs)
        stacked = Answers(np.concatenate([side.truth for side in both]), np.concatenate([side.scores for side in both]))
        weights = None if self.weights is None else np.tile(self.weights, 2)
        p_value = randomisation_p_value(
            weighted(metric, stacked, weights),
            self.num_examples,
            HIGHER_IS_BETTER[metric],
            self.settings.num_resamples,
            self.settings.seed,
        )
        return gain.model_copy(update={"p_value": p_value})

    def spread(self, metric: Metric) -> float:
        """Standard deviation of a gain times the square root of the number of examples; NaN where unknown."""
        return self._difference(metric).standard_error * float(np.sqrt(self.num_examples))

    def _difference(self, metric: Metric) -> Replicates:
        sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
        return self._replicates[metric, 0].minus(self._replicates[metric, 1]).times(sign)

    def counts(self, chosen: NDArray[np.bool_] | None = None) -> PairedCounts:
        """On how many examples the two differ, of all that are compared or of the chosen ones."""
        ours, theirs = self.ours.is_right, self.theirs.is_right
        chosen = np.ones(len(ours), bool) if chosen is None else chosen
        return PairedCounts(
            int((ours & ~theirs & chosen).sum()), int((theirs & ~ours & chosen).sum()), int(chosen.sum())
        )

    def effective_counts(self, chosen: NDArray[np.bool_] | None = None) -> PairedCounts:
        """The same of so many examples that count alike as tell what these do."""
        if self.weights is None:
            return self.counts(chosen)
        ours, theirs = self.ours.is_right, self.theirs.is_right
        kept = np.ones(len(ours), bool) if chosen is None else chosen
        return effective_counts((ours & ~theirs)[kept], (theirs & ~ours)[kept], self.weights[kept])

    def accuracy_gain(self, chosen: NDArray[np.bool_] | None = None) -> Gain:
        """The difference of accuracies on all examples that are compared, or on the chosen ones."""
        p_value = None if self.weights is None else self.sign_flip_p_value(chosen)
        return accuracy_gain(self.effective_counts(chosen), self.settings.alpha, p_value)

    def sign_flip_p_value(self, chosen: NDArray[np.bool_] | None = None, side: Side = 0, num_draws: int = 0) -> float:
        """One-sided p-value of a gain of one side in accuracy; for examples that count alike it is McNemar's.

        Args:
            chosen: of these examples; None for all.
            side: whose gain.
            num_draws: how many resamples at least.
        """
        assert self.weights is not None
        gained, lost = self.ours.is_right & ~self.theirs.is_right, self.theirs.is_right & ~self.ours.is_right
        kept = np.ones(len(gained), bool) if chosen is None else chosen
        of_sides = [self.weights[differing & kept] for differing in (gained, lost)]
        num_draws = max(num_draws, self.settings.num_resamples)
        return sign_flip_p_value(of_sides[side], of_sides[1 - side], num_draws, self.settings.seed)

    def accuracy(self, side: Side, chosen: NDArray[np.bool_]) -> tuple[float, Interval]:
        """The accuracy of one of the two on the chosen examples, of which there is one at least, and its interval."""
        is_right = (self.ours, self.theirs)[side].is_right[chosen]
        if self.weights is None:
            num_right, size = float(is_right.sum()), float(len(is_right))
        else:
            num_right, size = effective_share(is_right, self.weights[chosen])
        low, high = share_bounds(num_right, size, self.settings.alpha)
        return num_right / size, score_interval(float(low), float(high), self.settings.alpha)

    def mean(self, values: NDArray[Any], chosen: NDArray[np.bool_] | None = None) -> float:
        """Of a value for each example that is compared, or for the chosen ones, of which there is one at least."""
        kept = values if chosen is None else values[chosen]
        if self.weights is None:
            return float(kept.mean(dtype=np.float64))
        return float(np.average(kept, weights=self.weights if chosen is None else self.weights[chosen]))

    def mcnemar(self) -> McNemar | None:
        """On how many examples the two differ, whatever these weigh, with McNemar's test; None where there is nothing
        to compare."""
        if not self.is_computable:
            return None
        gained, lost, _ = (int(part) for part in self.counts().arrays())
        return McNemar(num_gained=gained, num_lost=lost, p_value=float(mcnemar_p_value(gained, lost)))


def compare(predictions: Predictions, ours: ModelName, theirs: ModelName, settings: GateSettings) -> Comparison:
    """Sets two models side by side.

    Examples of weight 0 are left out. With the frozen baseline all others count; a class that a model does not know has
    probability 0 for it. With production the classes that both know count alone: the examples of these, and each
    model's probabilities of these, scaled to add up to 1, so that both answer the same question.

    Args:
        predictions: of the test split.
        ours: the judged model.
        theirs: the other one.
        settings: level, resamples and seed.
    """
    first, second = predictions.models[ours], predictions.models[theirs]
    if theirs == "production":
        labels = tuple(label for label in first.labels if label in set(second.labels))
    else:
        labels = tuple(dict.fromkeys((*first.labels, *second.labels, *sorted(set(predictions.examples.labels)))))
    index = {label: position for position, label in enumerate(labels)}
    truth = np.array([index.get(label, -1) for label in predictions.examples.labels], np.int64)
    weights = np.ones(len(truth)) if predictions.examples.weights is None else np.array(predictions.examples.weights)
    rows = np.flatnonzero((truth >= 0) & (weights > 0))
    is_same = first.labels == second.labels == labels
    answers = [
        Answers(truth[rows], model.scores[rows] if is_same else _aligned(model, labels, theirs == "production")[rows])
        for model in (first, second)
    ]
    is_partial = set(first.labels) != set(second.labels)
    return Comparison(labels, answers[0], answers[1], rows, settings, is_partial, weights=relative(weights[rows]))


def _aligned(model: ModelPredictions, labels: Sequence[str], scale: bool) -> NDArray[np.float32]:
    """Scores of these classes: float32 [examples, labels]; 0 for a class that the model does not know."""
    index = {label: position for position, label in enumerate(model.labels)}
    scores = np.zeros((len(model.scores), len(labels)), np.float32)
    for position, label in enumerate(labels):
        if label in index:
            scores[:, position] = model.scores[:, index[label]]
    if scale and labels:
        total = scores.sum(axis=1, keepdims=True)
        scores = np.where(total > 0, scores / np.where(total > 0, total, 1), scores + (total == 0) / len(labels))
    return np.asarray(scores, np.float32)


def accuracy_gain(counts: PairedCounts, alpha: float, p_value: float | None = None) -> Gain:
    """The difference of two accuracies on the same examples; nothing is known without an example.

    Args:
        counts: of the examples.
        alpha: level of each bound.
        p_value: of the gain; None for McNemar's of the counts, which are whole numbers then.
    """
    gained, lost, size = (float(part) for part in counts.arrays())
    if size == 0:
        return Gain(value=None)
    low, high = gain_bounds(counts, alpha)
    return Gain(
        value=float(counts.gain),
        interval=score_interval(float(low), float(high), alpha),
        p_value=float(mcnemar_gain_p_value(gained, lost)) if p_value is None else p_value,
    )


def score_interval(low: float, high: float, alpha: float) -> Interval:
    """An interval of two score bounds."""
    return Interval(low=low, high=high, confidence=1 - 2 * alpha, method="score")


def _bootstrap_interval(replicates: Replicates, alpha: float) -> Interval | None:
    bounds = bootstrap_bounds(replicates, alpha)
    return bounds and Interval(low=bounds[0], high=bounds[1], confidence=1 - 2 * alpha, method="bootstrap")


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
