"""Large made-up populations of examples whose every truth is known, to draw test sets from."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.gate.statistics.metrics import Answers

NUM_CLASSES = 10
_NUM_EXAMPLES = 100_000
_SKILL, _SKILL_OF_FEW_ERRORS, _SHARED, _OWN = 2.2, 4.0, 0.8, 0.6
_SHARPNESS = 1.5

WorldKind = Literal["balanced", "unbalanced", "few errors"]
"""Ten classes equal in size, models right in 73 and 81 of 100; each class 0.7 times the one before; or right in 98 and
99 of 100, so that a small test set has hardly an example on which they differ."""


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


def make_world(kind: WorldKind, advantage: float, seed: int = 0) -> World:
    """A population of ten classes.

    Args:
        kind: of classes and models.
        advantage: by how much the first model's logit of the true class is higher; 0.3 makes about eight points, or
            one with few errors.
        seed: of the population.
    """
    random = np.random.default_rng(seed)
    sizes = 0.7 ** np.arange(NUM_CLASSES) if kind == "unbalanced" else np.ones(NUM_CLASSES)
    skill = _SKILL_OF_FEW_ERRORS if kind == "few errors" else _SKILL
    truth = random.choice(NUM_CLASSES, _NUM_EXAMPLES, p=sizes / sizes.sum())
    shared = random.normal(size=(_NUM_EXAMPLES, NUM_CLASSES))
    scores = np.stack([_scores(truth, shared, each, random) for each in (skill + advantage, skill)])
    return World(truth, scores)


def _scores(
    truth: NDArray[np.int64], shared: NDArray[np.float64], skill: float, random: np.random.Generator
) -> NDArray[np.float32]:
    logits = _SHARED * shared + _OWN * random.normal(size=shared.shape)
    logits[np.arange(len(truth)), truth] += skill
    powers = np.exp(_SHARPNESS * (logits - logits.max(axis=1, keepdims=True)))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
