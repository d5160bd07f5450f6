"""The moving average of weights, which is often better than the weights themselves (Polyak and Juditsky 1992)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.replicas import local_variable, name_components, read, write


class MovingAverage:
    """An exponential moving average of variables, updated on each replica for itself: equal weights, equal averages.

    In the first steps it forgets faster, by (1 + steps) / (10 + steps), as in `tf.train.ExponentialMovingAverage`, so
    that a short phase does not end with its beginning.
    """

    def __init__(self, variables: Sequence[Any], decay: float) -> None:
        """To be made in the strategy's scope; begins with the variables as they are."""
        self._followed = list(variables)
        self._decay = decay
        self._averages = [local_variable(np.array(variable), "average") for variable in variables]
        self._num_updates = local_variable(np.float32(0), "num_updates")

    @property
    def variables(self) -> list[tf.Variable]:
        """Its state."""
        return [*self._averages, self._num_updates]

    def update(self) -> None:
        """Takes the present weights in; to be called on each replica after its update."""
        steps = self._num_updates.assign_add(1.0)
        forget = 1 - tf.minimum(self._decay, (1 + steps) / (10 + steps))
        for average, variable in zip(self._averages, self._followed, strict=True):
            value = tf.convert_to_tensor(variable)
            average.assign_sub(tf.cast(forget, value.dtype) * (average - value))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The variables hold their averages inside the block, and what they held before after it."""
        followed = name_components("followed", self._followed)
        before = read(followed)
        averages = read(name_components("averages", self._averages))
        write(followed, dict(zip(followed, averages.values(), strict=True)))
        try:
            yield
        finally:
            write(followed, before)
