"""What our code relies on in Keras under MirroredStrategy; logical CPU devices stand in for GPUs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.devices import make_strategy


@pytest.fixture
def strategy(logical_cpus: int) -> tf.distribute.Strategy:
    keras.utils.set_random_seed(0)  # operations are deterministic in these tests, and random ones want a seed
    return make_strategy(logical_cpus)


def on_each_replica(
    strategy: tf.distribute.Strategy, call: Callable[[tf.Tensor], Any], values: Sequence[Any]
) -> tuple[Any, ...]:
    """Calls a function with a value of its own on each replica."""
    given = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(values[context.replica_id_in_sync_group], tf.float32)
    )
    found = tf.function(lambda value: strategy.run(call, args=(value,)), autograph=False)(given)
    results: tuple[Any, ...] = strategy.experimental_local_results(found)
    return results


def test_keras_clips_the_share_of_each_replica_and_not_the_sum(strategy: tf.distribute.Strategy) -> None:
    """Why `trainer.optimizers` clips: 3 - 2 = 1 is within the norm of 1, but Keras makes 1 - 1 = 0 of it."""
    with strategy.scope():
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        layer.build((None, 1))
        optimizer = keras.optimizers.SGD(1.0, global_clipnorm=1.0)
        optimizer.build([layer.kernel])
    on_each_replica(strategy, lambda gradient: optimizer.apply([gradient], [layer.kernel]), [[[3.0]], [[-2.0]]])
    np.testing.assert_allclose(np.array(layer.kernel), [[0.0]], atol=1e-7)


@pytest.mark.parametrize("synchronized", [False, True])
def test_statistics_of_batch_norm_drift_apart_unless_synchronized_and_those_of_the_first_replica_are_saved(
    synchronized: bool, strategy: tf.distribute.Strategy, tmp_path: Path
) -> None:
    def build() -> keras.Model:
        return keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization(synchronized=synchronized)])

    with strategy.scope():
        model = build()
    on_each_replica(strategy, lambda inputs: model(inputs, training=True), [np.zeros((4, 1)), np.ones((4, 1))])
    first, second = (component.numpy() for component in model.layers[0].moving_mean.value.values)
    assert np.array_equal(first, second) == synchronized
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = build()
    loaded.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(np.array(loaded.layers[0].moving_mean), first)


def test_dropout_of_all_replicas_starts_with_the_same_mask(strategy: tf.distribute.Strategy) -> None:
    """Why `trainer.training` gives each replica random numbers of its own."""
    with strategy.scope():
        dropout = keras.layers.Dropout(0.5)
    first, second = on_each_replica(strategy, lambda inputs: dropout(inputs, training=True), [np.ones(64)] * 2)
    np.testing.assert_array_equal(first, second)
    assert 0 < np.count_nonzero(first) < 64


def test_a_first_batch_that_does_not_divide_by_the_replicas_makes_fit_fail(strategy: tf.distribute.Strategy) -> None:
    """Why every batch is full; a later batch may be of any size."""
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    inputs, labels = np.ones((11, 4), np.float32), np.zeros(11, np.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have the same size and shape"):
        model.fit(inputs[:5], labels[:5], batch_size=8, verbose=0)
    model.fit(inputs, labels, batch_size=8, verbose=0)
