"""Thousands of simulated runs of the gate's own functions; each function is one cell of a table."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.gate_worlds import NUM_CLASSES, World, WorldKind, make_world
from components.gate.comparison import Comparison
from components.gate.settings import GateSettings, Metric
from components.gate.statistics.metrics import HIGHER_IS_BETTER, value_of
from components.gate.statistics.proportions import PairedCounts, mcnemar_gain_p_value, superiority_p_value
from components.gate.subsets import outcomes_of

ALPHA = 0.05
_DIFFERING = 0.12
"""Share of examples on which exactly one of two models is right, where it is not stated otherwise."""
_ADVANTAGE = 0.3


@dataclass(frozen=True)
class Rates:
    """How often thaw's gate, and TFMA's change threshold of 0, let a candidate pass."""

    thaw: float
    tfma: float


@cache
def _world(kind: WorldKind) -> World:
    return make_world(kind, _ADVANTAGE)


def _comparison(
    world: World, metric: Metric, size: int, random: np.random.Generator, are_equal: bool, resamples: int
) -> Comparison:
    settings = GateSettings(
        floors={"accuracy": 0.0}, alpha=ALPHA, num_resamples=resamples, seed=int(random.integers(2**31))
    )
    ours, theirs = world.draw(size, random, are_equal)
    labels = tuple(map(str, range(NUM_CLASSES)))
    return Comparison(labels, ours, theirs, np.arange(size), settings, metrics=(metric,))


def equal_models(metric: Metric, size: int, kind: WorldKind, num_runs: int, resamples: int) -> Rates:
    """How often one of two equal models is approved over the other."""
    random, world = np.random.default_rng(size), _world(kind)
    approved = above = 0
    for _ in range(num_runs):
        comparison = _comparison(world, metric, size, random, True, resamples)
        gain = comparison.gain(metric)
        above += gain.value is not None and gain.value >= 0
        # The exact test is asked where the bound alone would approve: it can only refuse.
        if gain.interval and gain.interval.low is not None and gain.interval.low > 0:
            p_value = comparison.tested_gain(metric).p_value
            approved += p_value is None or p_value <= ALPHA
    return Rates(approved / num_runs, above / num_runs)


def coverage(metric: Metric, size: int, kind: WorldKind, num_runs: int, resamples: int) -> tuple[float, float]:
    """How often the lower bound lies above the true gain, and the upper one below it."""
    random, world = np.random.default_rng(size), _world(kind)
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    truth = sign * (value_of(metric, world.answers(0)) - value_of(metric, world.answers(1)))
    too_high = too_low = 0
    for _ in range(num_runs):
        interval = _comparison(world, metric, size, random, False, resamples).gain(metric).interval
        if interval is None or interval.low is None or interval.high is None:
            continue
        too_high += interval.low > truth
        too_low += interval.high < truth
    return too_high / num_runs, too_low / num_runs


def power(size: int, gain: float, num_runs: int) -> Rates:
    """How often a candidate passes whose accuracy is truly higher by `gain`."""
    differing = max(_DIFFERING, gain)
    chances = [(differing + gain) / 2, (differing - gain) / 2, 1 - differing]
    drawn = np.random.default_rng(size).multinomial(size, chances, num_runs)
    gained, lost = drawn[:, 0], drawn[:, 1]
    passes = superiority_p_value(PairedCounts(gained, lost, size), 0.0) <= ALPHA
    passes &= mcnemar_gain_p_value(gained, lost) <= ALPHA
    return Rates(float(passes.mean()), float((gained >= lost).mean()))


@dataclass(frozen=True)
class Planted:
    """What became of candidates that gain overall and lose in one class of ten.

    Attributes:
        thaw_refuses: by the class's rule alone.
        thaw_does_not_pass: the class is listed as failed or as one that cannot be told.
        tfma_refuses: by a change threshold of 0 on the overall accuracy.
    """

    thaw_refuses: float
    thaw_does_not_pass: float
    tfma_refuses: float


def planted_regression(size: int, loss: float, num_runs: int, margin: float = 0.05, gain: float = 0.04) -> Planted:
    """Nine classes gain `gain`, the tenth loses `loss`; all are equal in size."""
    random, per_class = np.random.default_rng(size), size // NUM_CLASSES
    gains = np.full(NUM_CLASSES, gain)
    gains[-1] = -loss
    refused = unsure = tfma = 0
    for _ in range(num_runs):
        differing = np.maximum(_DIFFERING, np.abs(gains))
        chances = np.stack([(differing + gains) / 2, (differing - gains) / 2, 1 - differing], axis=1)
        drawn = random.multinomial(per_class, chances)
        counts = [PairedCounts(row[0], row[1], per_class) for row in drawn]
        outcome = [found for found, _ in outcomes_of(counts, margin, ALPHA)][-1]
        refused += outcome == "failed"
        unsure += outcome != "passed"
        tfma += drawn[:, 0].sum() < drawn[:, 1].sum()
    return Planted(refused / num_runs, unsure / num_runs, tfma / num_runs)
