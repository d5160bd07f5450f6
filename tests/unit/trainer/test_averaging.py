"""The moving average of weights."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.averaging import MovingAverage
from trainer.devices import make_strategy
from trainer.replicas import components


@pytest.fixture(params=[1, 2], ids=["1 replica", "2 replicas"])
def strategy(request: pytest.FixtureRequest) -> tf.distribute.Strategy:
    return make_strategy(request.param)


def averaged(strategy: tf.distribute.Strategy, values: list[float], decay: float) -> tuple[Any, MovingAverage]:
    """A variable that goes through the values, from the first on, and its average."""
    with strategy.scope():
        variable = keras.Variable(np.float32(values[0]), name="weight")
        average = MovingAverage([variable], decay)
    update = tf.function(lambda: strategy.run(average.update), autograph=False)
    for value in values[1:]:
        variable.assign(value)
        update()
    return variable, average


def test_a_long_average_forgets_by_its_decay(strategy: tf.distribute.Strategy) -> None:
    _, average = averaged(strategy, [1.0, *([0.0] * 20)], decay=0.5)
    early = np.prod([min(0.5, (1 + n) / (10 + n)) for n in range(1, 21)])
    np.testing.assert_allclose(components(average.variables[0])[-1], early, rtol=1e-4)


def test_the_first_steps_forget_the_beginning_faster(strategy: tf.distribute.Strategy) -> None:
    _, average = averaged(strategy, [1.0, 0.0, 0.0], decay=0.999)
    np.testing.assert_allclose(components(average.variables[0])[0], 2 / 11 * 3 / 12, rtol=1e-5)


def test_weights_are_averages_inside_the_block_and_themselves_after_it(strategy: tf.distribute.Strategy) -> None:
    variable, average = averaged(strategy, [1.0, 0.0], decay=0.999)
    with pytest.raises(KeyError), average.in_place():
        for component in components(variable):
            np.testing.assert_allclose(component, 2 / 11, rtol=1e-5)
        raise KeyError
    for component in components(variable):
        assert float(component) == 0
