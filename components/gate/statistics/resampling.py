"""Paired bootstrap and randomisation tests, in chunks, so that memory does not grow with the number of resamples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.gate.statistics.metrics import Floats, WeightedMetric

_NUM_WEIGHTS_AT_ONCE = 2_000_000
_MAX_JACKKNIFE_GROUPS = 200

Key = TypeVar("Key")


@dataclass(frozen=True)
class Replicates:
    """What a statistic was in resamples.

    Attributes:
        value: on the test set itself; NaN where it is not defined.
        drawn: float64 [resamples], in bootstrap resamples.
        left_out: float64 [groups], with one group of examples left out at a time.
        num_examples: of the test set; where they count by weights, how many equal ones tell as much.
    """

    value: float
    drawn: Floats
    left_out: Floats
    num_examples: float

    def minus(self, other: "Replicates") -> "Replicates":
        """The difference of two statistics in the same resamples."""
        return Replicates(
            self.value - other.value, self.drawn - other.drawn, self.left_out - other.left_out, self.num_examples
        )

    def times(self, factor: float) -> "Replicates":
        """The statistic times a number."""
        return Replicates(self.value * factor, self.drawn * factor, self.left_out * factor, self.num_examples)

    @property
    def standard_error(self) -> float:
        """Standard deviation over the resamples in which the statistic is defined."""
        defined = self.drawn[np.isfinite(self.drawn)]
        return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")


def bootstrap(
    statistics: Mapping[Key, WeightedMetric],
    num_examples: int,
    num_resamples: int,
    seed: int,
    num_equal_examples: float | None = None,
) -> dict[Key, Replicates]:
    """Computes all statistics in the same resamples of the examples.

    Args:
        statistics: functions of the examples' weights.
        num_examples: of the test set.
        num_resamples: how many to draw.
        seed: the same seed and size give the same resamples.
        num_equal_examples: see `Replicates.num_examples`; None where all examples count alike.
    """
    whole = _compute(statistics, iter([np.ones((1, num_examples))]))
    drawn = _compute(statistics, _draws(num_examples, num_resamples, seed))
    left_out = _compute(statistics, _leave_outs(num_examples))
    size = num_examples if num_equal_examples is None else num_equal_examples
    return {key: Replicates(float(whole[key][0]), drawn[key], left_out[key], size) for key in statistics}


def _compute(statistics: Mapping[Key, WeightedMetric], chunks: Iterator[Floats]) -> dict[Key, Floats]:
    parts: dict[Key, list[Floats]] = {key: [] for key in statistics}
    for weights in chunks:
        for key, statistic in statistics.items():
            parts[key].append(statistic(weights))
    return {key: np.concatenate(values) for key, values in parts.items()}


def _chunk_sizes(num_rows: int, num_columns: int) -> Iterator[int]:
    at_once = max(1, _NUM_WEIGHTS_AT_ONCE // num_columns)
    yield from (min(at_once, num_rows - start) for start in range(0, num_rows, at_once))


def _draws(num_examples: int, num_resamples: int, seed: int) -> Iterator[Floats]:
    random = np.random.default_rng(seed)
    for size in _chunk_sizes(num_resamples, num_examples):
        chosen = random.integers(0, num_examples, (size, num_examples))
        chosen += np.arange(size)[:, None] * num_examples
        counts = np.bincount(chosen.ravel(), minlength=size * num_examples)
        yield counts.reshape(size, num_examples).astype(np.float64)


def _leave_outs(num_examples: int) -> Iterator[Floats]:
    num_groups = min(num_examples, _MAX_JACKKNIFE_GROUPS)
    group = np.arange(num_examples) % num_groups
    start = 0
    for size in _chunk_sizes(num_groups, num_examples):
        yield (group[None, :] != np.arange(start, start + size)[:, None]).astype(np.float64)
        start += size


def bootstrap_bounds(replicates: Replicates, alpha: float) -> tuple[float, float] | None:
    """Bounds of a statistic, each of which alone fails with probability about `alpha`.

    The wider of two intervals on either side: the bias-corrected and accelerated bootstrap, with the quantile of
    Student's distribution in place of the normal one, and the jackknife's with the same quantile. On 50 examples each
    alone misses up to twice as often as it should, in different cases (`benchmarks/gate.py`).

    Sources: Efron, JASA 82 (1987) 171; Hesterberg, The American Statistician 69 (2015) 371, section 5.3; Efron and
    Stein, Annals of Statistics 9 (1981) 586, that the jackknife's variance is too large rather than too small.

    Returns:
        (low, high), or None where the statistic is not defined on the test set or in most resamples.
    """
    drawn = np.sort(replicates.drawn[np.isfinite(replicates.drawn)])
    if not np.isfinite(replicates.value) or len(drawn) < 0.9 * len(replicates.drawn) or replicates.num_examples < 2:
        return None
    freedom = replicates.num_examples - 1
    quantile = float(stats.t.isf(alpha, freedom))
    wide = quantile * np.sqrt(replicates.num_examples / freedom)
    bias, acceleration = _bias(drawn, replicates.value), _acceleration(replicates.left_out)
    half = quantile * _jackknife_error(replicates.left_out)
    low = min(_quantile(drawn, bias, acceleration, -wide), replicates.value - half)
    high = max(_quantile(drawn, bias, acceleration, wide), replicates.value + half)
    return low, high


def _jackknife_error(left_out: Floats) -> float:
    defined = left_out[np.isfinite(left_out)]
    if len(defined) < 2:
        return 0.0
    return float(np.sqrt((len(defined) - 1) * defined.var()))


def _bias(drawn: Floats, value: float) -> float:
    below = (np.count_nonzero(drawn < value) + np.count_nonzero(drawn <= value)) / 2
    least = 1 / (len(drawn) + 1)
    return float(stats.norm.ppf(np.clip(below / len(drawn), least, 1 - least)))


def _acceleration(left_out: Floats) -> float:
    defined = left_out[np.isfinite(left_out)]
    if len(defined) < 2:
        return 0.0
    distances = defined.mean() - defined
    spread = float((distances**2).sum()) ** 1.5
    return float((distances**3).sum() / (6 * spread)) if spread > 0 else 0.0


def _quantile(drawn: Floats, bias: float, acceleration: float, z: float) -> float:
    shifted = bias + z
    stretch = 1 - acceleration * shifted
    if stretch <= 0:
        return float(drawn[-1] if shifted > 0 else drawn[0])
    share = float(stats.norm.cdf(bias + shifted / stretch))
    # The k-th of R ordered values estimates the quantile k / (R + 1).
    position = np.clip(share * (len(drawn) + 1) - 1, 0, len(drawn) - 1)
    return float(np.interp(position, np.arange(len(drawn)), drawn))


def randomisation_p_value(
    stacked: WeightedMetric, num_examples: int, higher_is_better: bool, num_resamples: int, seed: int
) -> float:
    """One-sided p-value of "the two models are interchangeable on every example".

    In each resample a fair coin decides for each example which model's answer counts as the first one's. For two
    models that are equal in distribution this errs with probability at most alpha on test sets of any size.

    Args:
        stacked: the metric of twice the examples: the first model's answers, then the second's.
        num_examples: of the test set.
        higher_is_better: direction of the metric.
        num_resamples: how many to draw.
        seed: of the coins.
    """
    sign = 1 if higher_is_better else -1
    observed = sign * _swapped_difference(stacked, np.zeros((1, num_examples)))[0]
    if not np.isfinite(observed):
        return 1.0
    random = np.random.default_rng(seed)
    num_as_large = 0
    for size in _chunk_sizes(num_resamples, 2 * num_examples):
        swaps = random.integers(0, 2, (size, num_examples)).astype(np.float64)
        differences = sign * _swapped_difference(stacked, swaps)
        # What is equal but for rounding counts as equal; what is not defined counts against.
        num_as_large += int(np.count_nonzero(~(differences < observed - 1e-12)))
    return (1 + num_as_large) / (1 + num_resamples)


def _swapped_difference(stacked: WeightedMetric, swaps: NDArray[np.float64]) -> Floats:
    first = np.concatenate([1 - swaps, swaps], axis=1)
    return stacked(first) - stacked(1 - first)
