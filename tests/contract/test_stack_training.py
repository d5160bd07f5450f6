"""What goes wrong with `compile`, `fit` and callbacks of Keras without a word, and why our loop is our own."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.devices import make_strategy

Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _devices(logical_cpus: int) -> None:
    """This file may be the first to start TensorFlow."""


@pytest.fixture
def data() -> Data:
    keras.utils.set_random_seed(0)  # operations are deterministic in these tests, and random ones want a seed
    draw = np.random.default_rng(0)
    return draw.normal(3.0, 2.0, (32, 4)).astype(np.float32), draw.integers(0, 2, 32)


def two_layers() -> tuple[keras.Model, keras.layers.Layer]:
    """A model, compiled, and its lower layer."""
    layer = keras.layers.Dense(4)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    return model, layer


def test_the_fourth_argument_of_compile_is_metrics_and_the_third_is_not() -> None:
    assert list(inspect.signature(keras.Model.compile).parameters)[1:5] == [
        "optimizer",
        "loss",
        "loss_weights",
        "metrics",
    ]


def test_dropout_of_a_frozen_base_stays_active_in_training() -> None:
    """Why `trainer.modes` turns it off: otherwise what is frozen is random."""
    base = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])
    base.trainable = False
    inputs = np.ones((1, 64), np.float32)
    assert 0 < np.count_nonzero(base(inputs, training=True)) < 64
    assert np.count_nonzero(base(inputs, training=False)) == 64


def test_freezing_without_compile_takes_effect_for_batches_of_another_shape_only(data: Data) -> None:
    model, layer = two_layers()
    inputs, labels = data

    def moves(num_examples: int) -> bool:
        before = np.array(layer.kernel)
        model.train_on_batch(inputs[:num_examples], labels[:num_examples])
        return not np.array_equal(before, np.array(layer.kernel))

    assert moves(16)
    layer.trainable = False
    assert moves(16)
    assert not moves(8)


def test_the_epoch_after_a_resume_is_remembered_by_the_next_fit(data: Data) -> None:
    """Of three epochs that are asked for after a resume at the third, one is done."""
    model, _ = two_layers()
    model._initial_epoch = 2
    for _ in range(2):
        assert model.fit(*data, epochs=3, verbose=0).epoch == [2]


def test_a_multi_optimizer_refuses_a_part_of_the_variables_that_it_was_built_for() -> None:
    """Why there is an optimizer per rate and age, see `trainer.optimizers`."""
    first, second = keras.Variable(1.0, name="first"), keras.Variable(1.0, name="second")
    each = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1), {"first": keras.optimizers.SGD(1.0)})
    optimizer = keras.optimizers.MultiOptimizer(each)
    optimizer.build([first, second])
    with pytest.raises(ValueError):
        optimizer.apply([tf.constant(1.0)], [first])


def test_compile_must_be_called_in_the_scope_of_the_strategy(logical_cpus: int, data: Data) -> None:
    with make_strategy(logical_cpus).scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    with pytest.raises(RuntimeError, match="Mixing different"):
        model.fit(*data, batch_size=16, verbose=0)


def test_compiling_again_in_a_callback_makes_fit_fail(data: Data) -> None:
    """Why phases are calls of their own: a boundary cannot be moved by a callback."""
    model, layer = two_layers()

    def unfreeze(epoch: int, logs: dict[str, float] | None = None) -> None:
        layer.trainable = False
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=unfreeze)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        model.fit(*data, batch_size=16, epochs=3, callbacks=[callback], verbose=0)
