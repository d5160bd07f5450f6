"""What our code relies on in Keras and TensorFlow: an upgrade that changes one of these must be noticed."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image


@pytest.fixture(scope="module", autouse=True)
def _devices(logical_cpus: int) -> None:
    """This file may be the first to start TensorFlow."""


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    keras.utils.set_random_seed(0)  # operations are deterministic in these tests, and random ones want a seed
    draw = np.random.default_rng(0)
    return draw.normal(3.0, 2.0, (32, 4)).astype(np.float32), draw.integers(0, 2, 32)


def dense_after(*layers: keras.layers.Layer) -> keras.Sequential:
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2, activation="softmax")])


def compiled(model: keras.Model) -> keras.Model:
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    return model


def values(layer: keras.layers.Layer) -> list[np.ndarray]:
    return [np.array(variable) for variable in layer.weights]


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [not np.array_equal(left, right) for left, right in zip(before, after, strict=True)]


class WeightsOfEpochs(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.weights: list[list[np.ndarray]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.weights.append(self.model.get_weights())
        assert logs is not None
        logs["judged"] = [3.0, 1.0, 2.0][epoch]


@pytest.mark.parametrize("patience", [1, 3], ids=["stopped early", "all epochs trained"])
def test_early_stopping_restores_the_best_weights_however_training_ends(
    data: tuple[np.ndarray, np.ndarray], patience: int
) -> None:
    model = compiled(dense_after())
    epochs = WeightsOfEpochs()
    stopping = keras.callbacks.EarlyStopping("judged", mode="min", patience=patience, restore_best_weights=True)
    model.fit(*data, epochs=3, callbacks=[epochs, stopping], verbose=0)
    assert len(epochs.weights) == 3
    assert not any(moved(epochs.weights[1], model.get_weights()))
    assert any(moved(epochs.weights[2], model.get_weights()))


def test_a_frozen_batch_norm_does_not_move_in_fit_and_a_trainable_one_does(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    for trainable in (False, True):
        norm = keras.layers.BatchNormalization(trainable=trainable)
        model = compiled(dense_after(norm))
        before = values(norm)
        model.fit(*data, verbose=0)
        assert moved(before, values(norm)) == [trainable] * 4


def test_a_change_of_trainable_has_no_effect_until_the_model_is_compiled_again(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    layer = keras.layers.Dense(4)
    model = compiled(dense_after(layer))
    model.fit(*data, verbose=0)
    layer.trainable = False
    before = values(layer)
    model.fit(*data, verbose=0)
    assert any(moved(before, values(layer))), "freezing took effect without compile: _compile may be simpler now"
    compiled(model)
    before = values(layer)
    model.fit(*data, verbose=0)
    assert not any(moved(before, values(layer)))


class CallsWithTrainingFalse(keras.Model):
    def __init__(self, base: keras.Model) -> None:
        super().__init__()
        self.base = base
        self.head = keras.layers.Dense(2, activation="softmax")

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        return self.head(self.base(inputs, training=False))


def base_with_norm() -> tuple[keras.Model, keras.layers.Layer]:
    inputs, norm = keras.Input((4,)), keras.layers.BatchNormalization()
    return keras.Model(inputs, norm(inputs)), norm


def test_training_false_holds_inside_the_call_of_a_subclass(data: tuple[np.ndarray, np.ndarray]) -> None:
    base, norm = base_with_norm()
    model = compiled(CallsWithTrainingFalse(base))
    model.fit(*data, verbose=0)
    assert moved([np.zeros(4), np.ones(4)], [np.array(norm.moving_mean), np.array(norm.moving_variance)]) == [False] * 2


def test_training_false_is_overridden_by_fit_in_a_functional_model(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Why the backbone is not simply called; where this fails, `trainer.layer_graph` may not be needed any more."""
    base, norm = base_with_norm()
    inputs = keras.Input((4,))
    head = keras.layers.Dense(2, activation="softmax")
    model = compiled(keras.Model(inputs, head(base(inputs, training=False))))
    model.fit(*data, verbose=0)
    assert any(moved([np.zeros(4)], [np.array(norm.moving_mean)]))


def test_a_functional_model_can_be_run_with_a_call_of_ones_own_for_each_layer() -> None:
    """What `trainer.layer_graph` rests on, and no public method offers: nodes by depth, and a hook for each call."""
    inputs = keras.Input((4,))
    outputs = keras.layers.Add()([inputs, keras.layers.Dropout(0.5)(keras.layers.Dense(4, name="dense")(inputs))])
    model = keras.Model(inputs, outputs)
    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    assert {id(node.operation) for node in nodes} == {id(operation) for operation in model.operations}
    assert {id(tensor) for node in nodes for tensor in node.output_tensors} >= {id(tensor) for tensor in model.outputs}
    called = []

    def hook(operation: keras.Operation) -> Callable[..., Any]:
        called.append(operation)
        return operation

    found = model._run_through_graph(np.eye(4, dtype=np.float32), operation_fn=hook)
    np.testing.assert_array_equal(found, model(np.eye(4)))
    assert [type(operation).__name__ for operation in called] == ["Dense", "Dropout", "Add"]


def test_batch_norm_in_training_mode_ignores_its_stored_statistics_if_it_is_trainable_only() -> None:
    """Why a trainable BatchNormalization that is to use stored statistics must be called in inference mode."""
    norm = keras.layers.BatchNormalization()
    norm.build((None, 4))
    inputs = np.arange(8, dtype=np.float32).reshape(2, 4)
    in_inference = norm(inputs, training=False)
    assert not np.array_equal(norm(inputs, training=True), in_inference)
    norm.moving_mean.assign(np.zeros(4))
    norm.moving_variance.assign(np.ones(4))
    norm.trainable = False
    np.testing.assert_array_equal(norm(inputs, training=True), in_inference)


def test_keras_counts_padding_in_val_loss_and_not_in_weighted_metrics(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Why phases are judged by a metric and not by `val_loss`."""
    model = dense_after()
    metric = keras.metrics.SparseCategoricalCrossentropy(name="log_loss")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(), weighted_metrics=[metric])
    inputs, labels = data
    weights = np.repeat([1.0, 0.0], 16)
    found = model.evaluate(inputs, labels, sample_weight=weights, batch_size=32, verbose=0, return_dict=True)
    probabilities = model.predict(inputs, verbose=0)[np.arange(32), labels]
    assert found["log_loss"] == pytest.approx(-np.log(probabilities[:16]).mean(), rel=1e-4)
    assert found["loss"] == pytest.approx(found["log_loss"] / 2, rel=1e-4)


def test_setting_trainable_of_a_model_reaches_its_layers_only_if_the_model_changes() -> None:
    """Why `trainer.freezing` sets each layer for itself: TensorFlow drops an assignment of what is there already."""
    base, norm = base_with_norm()
    norm.trainable = False
    base.trainable = True
    assert not norm.trainable
    base.trainable = False
    base.trainable = True
    assert norm.trainable


def test_an_optimizer_refuses_variables_that_it_was_not_built_for() -> None:
    first, later, gradient = keras.Variable(1.0), keras.Variable(1.0), tf.constant(1.0)
    optimizer = keras.optimizers.Adam()
    optimizer.apply([gradient], [first])
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply([gradient, gradient], [first, later])
    built_for_both = keras.optimizers.Adam()
    built_for_both.build([first, later])
    built_for_both.apply([gradient], [first])
    built_for_both.apply([gradient, gradient], [first, later])


@pytest.mark.parametrize(("num_updates_before", "factor"), [(0, 1.0), (10_000, 0.1 / 0.001**0.5)])
def test_adam_moves_a_new_variable_three_times_too_far_with_the_count_of_an_old_one(
    num_updates_before: int, factor: float
) -> None:
    """Why newly unfrozen variables get an optimizer of their own."""
    weight = keras.Variable(0.0)
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([weight])
    optimizer.iterations.assign(num_updates_before)
    optimizer.apply([tf.constant(1.0)], [weight])
    assert float(np.array(weight)) == pytest.approx(-0.1 * factor, rel=1e-3)


def test_momentum_of_sgd_holds_the_rates_of_earlier_updates() -> None:
    """Why carried momentum shrinks with the rate: here a gradient of 0 moves the weight by 90 times the new rate."""
    weight = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.apply([tf.constant(1.0)], [weight])
    before = float(np.array(weight))
    optimizer.learning_rate = 0.001
    optimizer.apply([tf.constant(0.0)], [weight])
    assert float(np.array(weight)) - before == pytest.approx(-0.09)


def test_weights_of_another_phase_come_without_optimizer_state_and_only_a_warning_says_so(
    data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    def model_with(trainable: bool) -> keras.Model:
        model = dense_after(keras.layers.Dense(4, trainable=trainable))
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        return model

    path = tmp_path / "head.weights.h5"
    head, unfrozen = model_with(False), model_with(True)
    head.fit(*data, verbose=0)
    head.save_weights(path)
    unfrozen.optimizer.build(unfrozen.trainable_variables)
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        unfrozen.load_weights(path)
    assert not any(moved(head.get_weights(), unfrozen.get_weights()))
    assert (int(np.array(head.optimizer.iterations)), int(np.array(unfrozen.optimizer.iterations))) == (1, 0)


def test_keras_repeats_steps_of_an_interrupted_epoch(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """Why checkpoints are our own: of 12 steps that are due, 14 are done."""

    def train(dies_after: int) -> int:
        model = compiled(dense_after())

        def die(batch: int, logs: dict[str, float] | None = None) -> None:
            if int(np.array(model.optimizer.iterations)) == dies_after:
                raise InterruptedError

        backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=2)
        callbacks = [backup, keras.callbacks.LambdaCallback(on_train_batch_end=die)]
        model.fit(*data, batch_size=8, epochs=3, callbacks=callbacks, verbose=0)
        return int(np.array(model.optimizer.iterations))

    with pytest.raises(InterruptedError):
        train(dies_after=6)
    assert train(dies_after=0) == 14


def test_keras_does_not_read_a_saved_model_back(tmp_path: Path) -> None:
    dense_after().export(str(tmp_path), verbose=False)
    with pytest.raises(ValueError, match="legacy SavedModel format is not supported"):
        keras.models.load_model(str(tmp_path))


@pytest.mark.parametrize(("antialias", "is_close"), [(True, True), (False, False)])
def test_resize_is_close_to_pillow_with_antialias_only(antialias: bool, is_close: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 90, 3), np.uint8)
    expected = np.asarray(Image.fromarray(noise).resize((32, 32), Image.Resampling.BILINEAR), float)
    found = tf.image.resize(noise, [32, 32], "bilinear", antialias=antialias).numpy()
    assert (np.abs(found - expected).mean() < 0.5) == is_close


def test_jpegs_decoded_to_an_eighth_are_refused_exactly_where_whole_ones_are() -> None:
    """Ingestion checks files at an eighth of their size; what it lets in must not fail in Transform."""
    draw = random.Random(0)
    buffer = io.BytesIO()
    Image.fromarray(load_sample_image("china.jpg")).resize((80, 56)).save(buffer, "JPEG", quality=85)
    whole = buffer.getvalue()
    outcomes = []
    for number in range(300):
        content = bytearray(whole)
        if number % 3 == 0:
            del content[draw.randrange(2, len(content)) :]
        for _ in range(number % 4):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        outcomes.append((decodes(bytes(content), 8), decodes(bytes(content), 1)))
    assert [eighth for eighth, _ in outcomes] == [full for _, full in outcomes]
    assert 50 < sum(full for _, full in outcomes) < 290


def decodes(content: bytes, ratio: int) -> bool:
    try:
        tf.io.decode_jpeg(content, channels=3, ratio=ratio)
    except tf.errors.OpError:
        return False
    return True
