"""What a test set of this size can show, and how large one would have to be."""

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Design:
    """A one-sided comparison.

    Attributes:
        alpha: level of its bound.
        power: the chance to pass that is meant.
        min_gain: what the bound must exceed.
        spread: standard deviation of the gain times the square root of the number of examples.
        num_examples: of the test set.
        continuity: by how many examples the bound is moved; 1 for accuracy, whose test counts whole examples.
    """

    alpha: float
    power: float
    min_gain: float
    spread: float
    num_examples: int
    continuity: float = 0.0

    @property
    def resolution(self) -> float:
        """The least true gain that exceeds any fixed threshold by enough to pass with the stated chance."""
        shift = self._quantiles * self.spread / math.sqrt(self.num_examples) + self.continuity / self.num_examples
        return max(shift, self._least)

    @property
    def smallest_gain(self) -> float:
        """The least true gain that passes with the stated chance."""
        return self.min_gain + self.resolution

    def num_examples_for(self, distance: float) -> int | None:
        """Examples with which a gain that lies `distance` above a threshold would pass it with the stated chance; None
        where it never would."""
        if distance <= 0:
            return None
        # distance = a / sqrt(n) + c / n, solved for sqrt(n).
        a, c = self._quantiles * self.spread, self.continuity
        root = (a + math.sqrt(a * a + 4 * distance * c)) / (2 * distance)
        least = math.log(1 / self.alpha, 2) / distance if self.continuity else 1
        return math.ceil(max(root * root, least))

    @property
    def _quantiles(self) -> float:
        return float(stats.norm.isf(self.alpha) + stats.norm.isf(1 - self.power))

    @property
    def _least(self) -> float:
        """McNemar's test needs log2(1/alpha) gained examples at the very least."""
        return math.ceil(math.log2(1 / self.alpha)) / self.num_examples if self.continuity else 0.0


def accuracy_spread(num_gained: float, num_lost: float, num_examples: float) -> float:
    """`Design.spread` of a difference of accuracies, from the share of examples on which the models differ.

    One example on which they differ and one on which they do not are added: that none was seen does not mean that there
    are none.
    """
    return math.sqrt((num_gained + num_lost + 1) / (num_examples + 2))
