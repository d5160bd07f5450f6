"""What the loss at rising learning rates says of the rate to train at (Smith 2017, arXiv:1506.01186, section 3.3).

A few steps are trained while the rate rises exponentially. At rates that are too low the loss stays where it was; it
falls where the rate does something, and rises again where it does too much. fastai suggests a rate in the middle of the
longest falling stretch ("valley"); so does this, with the stretch found on a curve that is smoothed to both sides: a
running mean lags behind the rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

# Width of the smoothing, in powers of ten of the rate.
_SMOOTHING_DECADES = 0.25
# Steps at the start of a sweep in which the rate does nothing yet: they say what the loss is, and how noisy.
_PLATEAU_FRACTION = 0.2
_MIN_STEPS = 10
# What counts as a change of the loss: as many standard errors, and that share of it.
_NUM_STANDARD_ERRORS, _MIN_CHANGE = 4.0, 0.02
# A suggestion made from where the loss begins to rise lies that far below, as fastai's courses advise.
_SAFETY_FACTOR = 10.0

Rule = Literal["valley", "before_rise"]


@dataclass(frozen=True)
class Sweep:
    """What was measured.

    Attributes:
        rates: of each step, rising.
        losses: of each step's batch before its update, in nats; of the same length. The last may be infinite or nan.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What a sweep says.

    Attributes:
        rule: what the suggestion follows from: "valley", halfway, in powers of ten, from where the loss begins to fall
            to where it is lowest; or "before_rise", a tenth of the rate at which it begins to rise, where it does not
            fall before. None where there is no suggestion.
        rate: that is suggested, or None.
        steepest: where the loss falls fastest per power of ten; None where it does not fall.
        reason: why nothing is suggested, in words; empty where something is.
    """

    rule: Rule | None
    rate: float | None
    steepest: float | None = None
    reason: str = ""


def smooth(sweep: Sweep) -> np.ndarray[Any, Any]:
    """The finite losses of a sweep, each the mean of its neighbours within about a quarter of a power of ten.

    A loss above four times that of the start counts as that: a diverging one would drown those before it.

    Returns:
        float64 [finite steps].
    """
    losses = _finite(sweep.losses)
    if not len(losses):
        return losses
    losses = np.minimum(losses, 4 * max(float(np.median(_plateau_of(losses, len(sweep.losses)))), 0.1))
    decades = np.log10(sweep.rates[: len(losses)])
    kernel = np.exp(-0.5 * ((decades[:, None] - decades[None, :]) / _SMOOTHING_DECADES) ** 2)
    return np.asarray(kernel @ losses / kernel.sum(axis=1))


def read(sweep: Sweep) -> Reading:
    """Finds the rate that a sweep suggests."""
    raw = _finite(sweep.losses)
    if len(raw) < _MIN_STEPS:
        return _nothing(
            f"the loss was not a number from step {len(raw) + 1} on, at a rate of {sweep.rates[len(raw)]:.2g}"
            if len(raw) < len(sweep.losses)
            else f"there were {len(raw)} steps only; {_MIN_STEPS} are needed"
        )
    smoothed = smooth(sweep)
    plateau, least_change = _start(sweep, raw)
    lowest = int(np.argmin(smoothed))
    if plateau - smoothed[lowest] > least_change:
        return _valley(sweep, smoothed, plateau, lowest)
    # From there on it stays above: a rise that comes back is noise.
    risen = int(np.flatnonzero(smoothed <= plateau + least_change)[-1]) + 1
    if risen < len(sweep.losses):
        return Reading("before_rise", sweep.rates[risen] / _SAFETY_FACTOR)
    return _nothing(
        f"the loss stayed at {plateau:.3g}, give or take {least_change:.2g}, at every rate from "
        f"{sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}"
    )


def is_diverging(losses: Sequence[float], num_at_once: int = 5) -> bool:
    """Whether a sweep may end: the last loss is not a number, or the last few are four times the best few.

    Below 0.1 nats four times as much is still nothing, so the best count as that at least.
    """
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < 2 * num_at_once:
        return False
    means = np.convolve(losses, np.full(num_at_once, 1 / num_at_once), mode="valid")
    return bool(means[-1] > 4 * max(float(means.min()), 0.1))


def _valley(sweep: Sweep, smoothed: np.ndarray[Any, Any], plateau: float, lowest: int) -> Reading:
    """Between the last rate at which a tenth of the fall was not done yet, and the one at which all of it was."""
    begun = plateau - 0.1 * (plateau - smoothed[lowest])
    above = np.flatnonzero(smoothed[: lowest + 1] >= begun)
    first = int(above[-1]) if len(above) else 0
    decades = np.log10(sweep.rates[: len(smoothed)])
    middle = 10 ** float((decades[first] + decades[lowest]) / 2)
    slopes = np.diff(smoothed[first : lowest + 1]) / np.diff(decades[first : lowest + 1])
    steepest = sweep.rates[first + int(np.argmin(slopes))] if len(slopes) else None
    return Reading("valley", middle, steepest)


def _start(sweep: Sweep, raw: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The loss while the rate does nothing, and the least difference of a smoothed one that is not mere noise."""
    first = _plateau_of(raw, len(sweep.losses))
    plateau = float(np.mean(first))
    decades_per_step = math.log10(sweep.rates[-1] / sweep.rates[0]) / (len(sweep.rates) - 1)
    num_averaged = max(1.0, 2 * math.sqrt(math.pi) * _SMOOTHING_DECADES / decades_per_step)
    # Two means differ: that of the start, and a smoothed one.
    error = float(np.std(first, ddof=1)) * math.sqrt(1 / num_averaged + 1 / len(first))
    return plateau, max(_NUM_STANDARD_ERRORS * error, _MIN_CHANGE * plateau)


def _plateau_of(losses: np.ndarray[Any, Any], num_steps: int) -> np.ndarray[Any, Any]:
    return losses[: max(_MIN_STEPS // 2, round(_PLATEAU_FRACTION * num_steps))]


def _finite(losses: Sequence[float]) -> np.ndarray[Any, Any]:
    """The losses before the first that is not a number."""
    values = np.asarray(losses, np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    return values[: int(bad[0])] if len(bad) else values


def _nothing(reason: str) -> Reading:
    return Reading(None, None, reason=reason)
