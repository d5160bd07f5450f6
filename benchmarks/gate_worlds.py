"""Large made-up populations of examples whose every truth is known, to draw test sets from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.gate.statistics.metrics import Answers

NUM_CLASSES = 10
_NUM_EXAMPLES = 100_000
_SKILL, _SHARED, _OWN = 2.2, 0.8, 0.6
_SHARPNESS = 1.5


@dataclass(frozen=True)
class World:
    """Examples, and what two models say of them.

    Attributes:
        truth: int64 [examples].
        scores: float32 [2, examples, classes], of the better and of the other model.
    """

    truth: NDArray[np.int64]
    scores: NDArray[np.float32]

    def answers(self, model: int) -> Answers:
        """Of the whole population."""
        return Answers(self.truth, self.scores[model])

    def draw(self, num_examples: int, random: np.random.Generator, are_equal: bool) -> tuple[Answers, Answers]:
        """A test set; for equal models a coin says for each example which model's answer is whose."""
        rows = random.integers(0, len(self.truth), num_examples)
        first = random.integers(0, 2, num_examples) if are_equal else np.zeros(num_examples, np.int64)
        truth = self.truth[rows]
        return Answers(truth, self.scores[first, rows]), Answers(truth, self.scores[1 - first, rows])


def make_world(is_balanced: bool, advantage: float, seed: int = 0) -> World:
    """A population of ten classes, equal in size or each 0.7 times the one before.

    Args:
        is_balanced: which of the two.
        advantage: by how much the first model's logit of the true class is higher; 0.3 makes about eight points.
        seed: of the population.
    """
    random = np.random.default_rng(seed)
    sizes = np.ones(NUM_CLASSES) if is_balanced else 0.7 ** np.arange(NUM_CLASSES)
    truth = random.choice(NUM_CLASSES, _NUM_EXAMPLES, p=sizes / sizes.sum())
    shared = random.normal(size=(_NUM_EXAMPLES, NUM_CLASSES))
    scores = np.stack([_scores(truth, shared, skill, random) for skill in (_SKILL + advantage, _SKILL)])
    return World(truth, scores)


def _scores(
    truth: NDArray[np.int64], shared: NDArray[np.float64], skill: float, random: np.random.Generator
) -> NDArray[np.float32]:
    logits = _SHARED * shared + _OWN * random.normal(size=shared.shape)
    logits[np.arange(len(truth)), truth] += skill
    powers = np.exp(_SHARPNESS * (logits - logits.max(axis=1, keepdims=True)))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
