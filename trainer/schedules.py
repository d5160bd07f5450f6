"""Learning rates over the steps of a phase."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.phase_settings import PhaseSettings

# fastai's one-cycle policy (fastai.callback.schedule), with its defaults for where it starts and where the peak lies.
_ONE_CYCLE_START, _ONE_CYCLE_END, _ONE_CYCLE_WARMUP_FRACTION = 1 / 25, 1 / 10_000, 0.25


def rate(phase: PhaseSettings, num_steps: int) -> Callable[[int], float]:
    """The rate of the head at each step, which is counted from 0.

    Args:
        phase: its `learning_rate`, `schedule` and `warmup_fraction`.
        num_steps: how many the phase has if nothing ends it early; at least 1.

    Returns:
        A function that is above 0 at every step: a straight warm-up would be 0 one step before the first, a cosine is 0
        one step after the last.
    """
    if phase.schedule == "one_cycle":
        return _one_cycle(phase, num_steps)
    num_warmup_steps = round(phase.warmup_fraction * num_steps)

    def at(step: int) -> float:
        if step < num_warmup_steps:
            return phase.peak_rate * (step + 1) / (num_warmup_steps + 1)
        if phase.schedule == "constant":
            return phase.peak_rate
        share = (step - num_warmup_steps) / (num_steps - num_warmup_steps)
        return _along_cosine(phase.peak_rate, 0.0, share)

    return at


def _one_cycle(phase: PhaseSettings, num_steps: int) -> Callable[[int], float]:
    peak = phase.peak_rate
    num_warmup_steps = round((phase.warmup_fraction or _ONE_CYCLE_WARMUP_FRACTION) * num_steps)
    num_later_steps = max(1, num_steps - 1 - num_warmup_steps)

    def at(step: int) -> float:
        if step < num_warmup_steps:
            return _along_cosine(peak * _ONE_CYCLE_START, peak, step / num_warmup_steps)
        return _along_cosine(peak, peak * _ONE_CYCLE_END, (step - num_warmup_steps) / num_later_steps)

    return at


def _along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class RateTable(keras.optimizers.schedules.LearningRateSchedule):
    """The rates of a phase, one per step, for a Keras optimizer.

    A table rather than a formula in TensorFlow: what trains is what `rate` says, to the bit.

    Attributes:
        values: float32 [steps].
        first_iteration: the optimizer's count of iterations at the first step; above 0 where its state was carried over
            from an earlier phase.
    """

    def __init__(self, values: np.ndarray[Any, Any], first_iteration: int) -> None:
        super().__init__()
        self.values = np.asarray(values, np.float32)
        self.first_iteration = first_iteration

    def __call__(self, step: Any) -> tf.Tensor:
        position = tf.cast(step, tf.int64) - self.first_iteration
        return tf.gather(tf.constant(self.values), tf.clip_by_value(position, 0, len(self.values) - 1))

    def get_config(self) -> dict[str, Any]:
        return {"values": self.values.tolist(), "first_iteration": self.first_iteration}


def rates_of(phase: PhaseSettings, num_steps: int) -> np.ndarray[Any, Any]:
    """`rate` at every step: float64 [steps]."""
    at = rate(phase, num_steps)
    return np.array([at(step) for step in range(num_steps)])
