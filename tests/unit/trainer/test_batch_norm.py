"""What each policy moves of BatchNormalization, on one replica and on two, in a plain model and in a nested one."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import changed, fine_tune_phase, head_phase, settings, weights_of

from trainer import batch_norm, freeze_contract
from trainer.classifier import Classifier, build_classifier
from trainer.devices import make_strategy
from trainer.errors import FreezeContractError, ThawError
from trainer.freezing import freeze
from trainer.settings import Boundary, PhaseSettings

GLOBAL_BATCH_SIZE = 16
NAMES = ("gamma", "beta", "moving_mean", "moving_variance")
HEAD = {"classifier/head/kernel", "classifier/head/bias"}


def plain() -> Classifier:
    return build_classifier(settings(), num_classes=3)


def nested() -> Classifier:
    """Its second block is a model in the model, with normalization and Dropout of its own."""
    inputs = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, name="block3_conv")(inputs)
    hidden = keras.layers.BatchNormalization(name="block3_batch_norm")(hidden)
    inner_inputs = keras.Input(hidden.shape[1:])
    inner = keras.layers.Conv2D(4, 3, name="block4_conv")(inner_inputs)
    inner = keras.layers.BatchNormalization(name="block4_batch_norm")(inner)
    inner = keras.layers.Dropout(0.5, name="block4_dropout", seed=1)(inner)
    outputs = keras.Model(inner_inputs, inner, name="block4")(hidden)
    model = Classifier(keras.Model(inputs, outputs, name="nested"), "unit", num_classes=3, dropout_rate=0.0)
    model.build((None, 8, 8, 3))
    return model


def in_scope(build: Callable[[], Classifier], num_replicas: int) -> tuple[Classifier, tf.distribute.Strategy]:
    keras.utils.set_random_seed(3)
    strategy = make_strategy(num_replicas)
    with strategy.scope():
        return build(), strategy


def unfreezing(unfreeze: Any, policy: str) -> PhaseSettings:
    return fine_tune_phase(unfreeze=unfreeze, batch_norm=policy)


def train(
    model: Classifier, strategy: tf.distribute.Strategy, digits: tuple[np.ndarray, np.ndarray], num_steps: int = 2
) -> None:
    """Plain gradient descent on global batches, each replica with its share."""
    num_replicas = strategy.num_replicas_in_sync
    with strategy.scope():
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)

    def replica_step(pixels: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(
                labels, model.logits({"pixels": pixels}, training=True), from_logits=True
            )
            loss = tf.reduce_sum(losses) / GLOBAL_BATCH_SIZE
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    step = tf.function(lambda *batch: strategy.run(replica_step, args=batch))
    for number in range(num_steps):
        here = slice(number * GLOBAL_BATCH_SIZE, (number + 1) * GLOBAL_BATCH_SIZE)
        shares = [np.array_split(values[here], num_replicas) for values in digits]
        step(*(_per_replica(strategy, share) for share in shares))


def _per_replica(strategy: tf.distribute.Strategy, shares: list[np.ndarray]) -> Any:
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group])
    )


def of_norms(blocks: tuple[str, ...], names: tuple[str, ...]) -> set[str]:
    return {f"{block}_batch_norm/{name}" for block in blocks for name in names}


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("build", [plain, nested])
@pytest.mark.parametrize(
    ("policy", "names"), [("frozen", ()), ("affine_only", NAMES[:2]), ("adapt", NAMES), ("recalibrate", ())]
)
def test_a_policy_moves_exactly_its_variables_above_the_boundary(
    policy: str,
    names: tuple[str, ...],
    build: Callable[[], Classifier],
    num_replicas: int,
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    model, strategy = in_scope(build, num_replicas)
    top = model.backbone.layers[-1] if build is nested else model.backbone.get_layer("block4_conv")
    found = freeze(model, unfreezing(Boundary(layer=top.name), policy))
    before, digests = weights_of(model), freeze_contract.digest_variables(model)
    train(model, strategy, digits)
    moved = changed(before, weights_of(model))
    assert moved == HEAD | {"block4_conv/kernel"} | of_norms(("block4",), names) | (
        {"block4_conv/bias"} if build is nested else set()
    )
    report = freeze_contract.check(model, "fine_tune", digests)
    assert set(report.changed) == moved
    assert report.num_replicas == num_replicas
    assert found.batch_norm.num_layers == 1


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("build", [plain, nested])
def test_unfreezing_batch_norm_moves_gamma_and_beta_of_all_and_no_statistic(
    build: Callable[[], Classifier], num_replicas: int, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    model, strategy = in_scope(build, num_replicas)
    freeze(model, fine_tune_phase(unfreeze="batch_norm"))
    before = weights_of(model)
    train(model, strategy, digits)
    blocks = ("block3", "block4") if build is nested else ("block1", "block2", "block3", "block4")
    assert changed(before, weights_of(model)) == HEAD | of_norms(blocks, NAMES[:2])


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_frozen_phase_moves_the_head_alone(num_replicas: int, digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, strategy = in_scope(nested, num_replicas)
    freeze(model, head_phase())
    before = weights_of(model)
    train(model, strategy, digits)
    assert changed(before, weights_of(model)) == HEAD


@pytest.mark.parametrize(
    ("policy", "is_stored"), [("frozen", True), ("affine_only", True), ("adapt", False), ("recalibrate", True)]
)
def test_training_normalizes_by_stored_statistics_unless_they_adapt(
    policy: str, is_stored: bool, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    model, _ = in_scope(plain, 1)
    freeze(model, unfreezing("all", policy))
    pixels = digits[0][:8]
    in_training, in_inference = (model.logits(pixels, training=training).numpy() for training in (True, False))
    assert np.array_equal(in_training, in_inference) == is_stored


def test_adapting_statistics_are_those_of_the_global_batch_on_every_replica(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    found = []
    for num_replicas in (1, 2):
        model, strategy = in_scope(plain, num_replicas)
        freeze(model, unfreezing("all", "adapt"))
        train(model, strategy, digits, num_steps=1)
        found.append(weights_of(model))
        for variable in model.weights if num_replicas == 2 else ():
            np.testing.assert_array_equal(*(np.array(value) for value in variable.value.values), err_msg=variable.path)
    for path in of_norms(("block1", "block2", "block3", "block4"), NAMES):
        np.testing.assert_allclose(found[1][path], found[0][path], rtol=1e-3, atol=1e-5, err_msg=path)


def test_a_later_phase_takes_the_policy_of_an_earlier_one_back(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, strategy = in_scope(plain, 2)
    freeze(model, unfreezing("all", "adapt"))
    train(model, strategy, digits, num_steps=1)
    freeze(model, unfreezing("all", "frozen"))
    before, digests = weights_of(model), freeze_contract.digest_variables(model)
    train(model, strategy, digits, num_steps=1)
    assert changed(before, weights_of(model)) == HEAD | {f"block{number}_conv/kernel" for number in range(1, 5)}
    assert freeze_contract.check(model, "again", digests).num_moved_statistics == 0
    assert not any(layer.synchronized for layer in model.modes.batch_norms)


def batches_of(pixels: np.ndarray, batch_size: int, num_padding: int = 0) -> tf.data.Dataset:
    """As `trainer.datasets` makes them: padding is black and has weight 0."""
    padded = np.concatenate([pixels, np.zeros((num_padding, 8, 8, 3), np.uint8)])
    weights = np.repeat(np.float32([1, 0]), [len(pixels), num_padding])
    labels = np.zeros(len(padded), np.int64)
    data = tf.data.Dataset.from_tensor_slices(({"pixels": padded}, labels, weights))
    return data.batch(batch_size, drop_remainder=True)


def expected_statistics(model: Classifier, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of what the third block's convolution gives for all images, with numpy."""
    below = keras.Model(model.backbone.inputs, model.backbone.get_layer("block3_conv").output)
    values = below([pixels.astype(np.float32) / 255], training=False).numpy().astype(float)
    return values.mean(axis=(0, 1, 2)), values.var(axis=(0, 1, 2))


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize("batch_size", [8, 32])
def test_recalibrated_statistics_are_those_of_all_images_whatever_the_batch_size(
    batch_size: int, num_replicas: int, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    model, strategy = in_scope(plain, num_replicas)
    freeze(model, unfreezing(Boundary(block="block3"), "recalibrate"))
    everything = {variable.path: np.array(variable) for variable in model.variables}
    digests = freeze_contract.digest_variables(model)
    pixels = digits[0][:64]
    expected = expected_statistics(model, pixels)
    batch_norm.recalibrate(model, batches_of(pixels, batch_size), strategy)
    norm = model.backbone.get_layer("block3_batch_norm")
    np.testing.assert_allclose(norm.moving_mean, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, expected[1], rtol=1e-3, atol=1e-6)
    after = {variable.path: np.array(variable) for variable in model.variables}
    statistics = of_norms(("block3", "block4"), NAMES[2:])
    assert changed(everything, after) == statistics
    report = freeze_contract.check(model, "fine_tune", digests)
    assert (set(report.changed), report.num_moved_statistics) == (statistics, 4)


def test_recalibration_leaves_the_layers_as_they_were(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, strategy = in_scope(nested, 2)
    freeze(model, unfreezing("all", "recalibrate"))
    before = [(norm.trainable, norm.momentum, norm.synchronized) for norm in model.modes.batch_norms]
    seeds = [np.array(v) for v in model.variables if "seed" in v.path]
    assert (len(before), len(seeds)) == (2, 1)
    batch_norm.recalibrate(model, batches_of(digits[0][:32], 16), strategy)
    assert [(norm.trainable, norm.momentum, norm.synchronized) for norm in model.modes.batch_norms] == before
    np.testing.assert_array_equal(seeds, [np.array(v) for v in model.variables if "seed" in v.path])
    assert not {layer.name for layer in model.backbone.layers if "norm" in layer.name and layer.trainable_variables}


def test_batches_with_padding_are_left_out_of_recalibration(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, strategy = in_scope(plain, 1)
    freeze(model, unfreezing(Boundary(block="block3"), "recalibrate"))
    expected = expected_statistics(model, digits[0][:48])
    batch_norm.recalibrate(model, batches_of(digits[0][:60], 16, num_padding=4), strategy)
    np.testing.assert_allclose(model.backbone.get_layer("block3_batch_norm").moving_mean, expected[0], rtol=1e-4)


def test_where_all_batches_have_padding_it_is_replaced_by_real_images(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, strategy = in_scope(plain, 1)
    freeze(model, unfreezing(Boundary(block="block3"), "recalibrate"))
    expected = expected_statistics(model, digits[0][:8])
    batch_norm.recalibrate(model, batches_of(digits[0][:8], 16, num_padding=8), strategy)
    norm = model.backbone.get_layer("block3_batch_norm")
    np.testing.assert_allclose(norm.moving_mean, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, expected[1], rtol=1e-3, atol=1e-6)


def test_recalibration_of_features_that_are_no_numbers_is_an_error(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, strategy = in_scope(plain, 1)
    freeze(model, unfreezing("all", "recalibrate"))
    kernel = model.backbone.get_layer("block2_conv").kernel
    kernel.assign(np.full(kernel.shape, np.nan, np.float32))
    before = weights_of(model)
    with pytest.raises(ThawError, match="statistics of 'block2_batch_norm', estimated anew, are not all numbers"):
        batch_norm.recalibrate(model, batches_of(digits[0][:16], 16), strategy)
    np.testing.assert_equal(weights_of(model), before)


def test_before_recalibration_a_statistic_that_moves_breaks_the_contract() -> None:
    model, _ = in_scope(plain, 1)
    freeze(model, unfreezing("all", "recalibrate"))
    digests = freeze_contract.digest_variables(model)
    mean = model.backbone.get_layer("block4_batch_norm").moving_mean
    mean.assign(mean + 1)
    with pytest.raises(FreezeContractError, match="block4_batch_norm/moving_mean"):
        freeze_contract.check(model, "fine_tune", digests)


def test_statistics_that_do_harm_are_told_and_others_are_not() -> None:
    with pytest.warns(UserWarning, match=r"'fine_tune'.* worse, 0\.5000 in place of 0\.4000; leave"):
        assert batch_norm.warn_of_harm("fine_tune", 0.4, 0.5) is not None
    assert batch_norm.warn_of_harm("fine_tune", 0.5, 0.4) is None
