"""Test examples that count by a weight of their own: how many equal ones they are worth, and what follows from that.

A weight belongs to its example, as the photograph does: the test set is a sample of examples with their weights, so
resamples draw examples, and each brings its weight. Where all weights are equal everything here is what it is without.
"""

import numpy as np
from numpy.typing import NDArray

from components.gate.statistics.metrics import Floats
from components.gate.statistics.proportions import PairedCounts

_MOST_DIFFERING_FOR_ENUMERATION = 16
_NUM_SIGNS_AT_ONCE = 2_000_000
# So many draws that a p-value of a tenth of the level can be told apart in a family of some hundred subsets.
_MAX_DRAWS = 100_000


def relative(weights: Floats) -> Floats | None:
    """Weights whose mean is 1; None where all are equal, or there are none.

    Args:
        weights: above 0.
    """
    if not len(weights) or (weights == weights[0]).all():
        return None
    return np.asarray(weights / weights.mean(), np.float64)


def num_equal_examples(weights: Floats) -> float:
    """How many examples of one weight tell as much as these: 0 where there are none.

    Source: Kish, Survey Sampling (1965), section 11.7.
    """
    total = float(weights.sum())
    return total**2 / float((weights**2).sum()) if total > 0 else 0.0


def effective_counts(gained: NDArray[np.bool_], lost: NDArray[np.bool_], weights: Floats) -> PairedCounts:
    """The paired counts of so many equal examples as tell what these do, with the same difference of accuracies.

    That many are Kish's number, or fewer where the examples on which the models differ are the heavy ones: as many as
    give the difference the variance that it has by linearisation.

    Source: Korn and Graubard, Survey Methodology 24 (1998) 193: intervals of shares at the effective sample size.

    Args:
        gained: on which the first model alone is right.
        lost: on which the second alone is right.
        weights: float64 [examples], above 0.
    """
    if not len(weights):
        return PairedCounts(0.0, 0.0, 0.0)
    shares = weights / weights.sum()
    share_gained, share_lost = float(shares @ gained), float(shares @ lost)
    gain = share_gained - share_lost
    deviations = np.asarray(gained.astype(np.float64) - lost - gain, np.float64)
    size = _effective_size(share_gained + share_lost - gain**2, deviations, shares)
    return PairedCounts(size * share_gained, size * share_lost, size, size / len(weights))


def effective_share(is_right: NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """The number of right ones among so many equal examples as tell what these do, and their number."""
    shares = weights / weights.sum()
    share = float(shares @ is_right)
    size = _effective_size(share * (1 - share), np.asarray(is_right - share, np.float64), shares)
    return size * share, size


def _effective_size(spread: float, deviations: Floats, shares: Floats) -> float:
    """Kish's number, or, where that is fewer, `spread` over the variance of the weighted mean."""
    variance = float((shares * deviations) @ (shares * deviations))
    size = num_equal_examples(shares)
    return min(size, spread / variance) if spread > 0 and variance > 0 else size


def sign_flip_p_value(gained: Floats, lost: Floats, num_draws: int, seed: int) -> float:
    """One-sided p-value of "which of the two models is right is a fair coin on each example on which they differ".

    McNemar's test for examples with weights: with equal ones it is the same. All outcomes are enumerated where there
    are few, else drawn.

    Args:
        gained: weights of the examples on which the first model alone is right.
        lost: of those on which the second alone is right.
        num_draws: how many to draw.
        seed: of the coins.
    """
    weights = np.concatenate([gained, lost])
    observed = gained.sum() - lost.sum() - 1e-9 * weights.sum()  # what is equal but for rounding counts as equal
    if len(weights) <= _MOST_DIFFERING_FOR_ENUMERATION:
        sums = np.zeros(1)
        for weight in weights:
            sums = np.concatenate([sums + weight, sums - weight])
        return float((sums >= observed).mean())
    random = np.random.default_rng(seed)
    num_draws, num_as_large, num_done = min(num_draws, _MAX_DRAWS), 0, 0
    while num_done < num_draws:
        size = min(num_draws - num_done, max(1, _NUM_SIGNS_AT_ONCE // len(weights)))
        signs = 2.0 * random.integers(0, 2, (size, len(weights))) - 1
        num_as_large += int(np.count_nonzero(signs @ weights >= observed))
        num_done += size
    return (1 + num_as_large) / (1 + num_draws)
