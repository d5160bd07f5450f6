"""A classifier cut at a freeze boundary and put together again is the same function, with the same gradients."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase

from trainer.activation_cache import cuts
from trainer.backbones import build_backbone
from trainer.classifier import Classifier
from trainer.freezing import freeze
from trainer.settings import Boundary, ModelSettings, PhaseSettings

SIZE_PX = 64


def classifier(backbone: str) -> Classifier:
    keras.utils.set_random_seed(1)
    values: dict[str, Any] = {"backbone": backbone, "weights": "none", "image_size_px": SIZE_PX}
    built = build_backbone(ModelSettings(**values, phases=(head_phase(), fine_tune_phase())))
    model = Classifier(built, "symmetric", num_classes=3, dropout_rate=0.0)
    model.build((None, SIZE_PX, SIZE_PX, 3))
    return model


@pytest.fixture(scope="module")
def mobile_net() -> Classifier:
    return classifier("MobileNetV2")


@pytest.fixture(scope="module")
def pixels() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).integers(0, 256, (6, SIZE_PX, SIZE_PX, 3)), tf.uint8)


def logits_and_gradients(model: Classifier, pixels: tf.Tensor, cut: cuts.Cut | None) -> list[np.ndarray]:
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function(autograph=False)
    def whole(pixels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model.logits(pixels, training=True)
            loss = tf.reduce_sum(logits**2)
        return [logits, *tape.gradient(loss, variables)]

    @tf.function(autograph=False)
    def above(crossing: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        assert cut is not None
        with tf.GradientTape() as tape:
            logits = cuts.logits_above(model, cut, crossing, training=True)
            loss = tf.reduce_sum(logits**2)
        return [logits, *tape.gradient(loss, variables)]

    if cut is None:
        return [value.numpy() for value in whole(pixels)]
    (crossing,) = tf.function(lambda pixels: cuts.below(model, [cut], pixels), autograph=False)(pixels)
    for tensor, spec in zip(crossing, cuts.layout(model, cut), strict=True):
        assert (tensor.shape[1:], tensor.dtype) == (spec.shape, spec.dtype)
    return [value.numpy() for value in above(crossing)]


@pytest.mark.parametrize(
    ("phase", "num_tensors"),
    [
        (head_phase(), 1),
        (fine_tune_phase(unfreeze=Boundary(block="block_12")), 1),
        (fine_tune_phase(unfreeze=Boundary(layer="block_11_project", cut_blocks=True)), 2),
        (fine_tune_phase(unfreeze=Boundary(layer="block_14_add", cut_blocks=True), batch_norm="frozen"), 2),
        (fine_tune_phase(unfreeze=Boundary(block="block_15"), batch_norm="affine_only"), 1),
        (fine_tune_phase(unfreeze=Boundary(pattern="block_1[45]_project|block_16_expand")), 2),
    ],
    ids=["head", "block", "residual connection crosses", "add", "affine", "pattern"],
)
def test_below_and_above_a_cut_give_the_bits_of_the_whole(
    phase: PhaseSettings, num_tensors: int, mobile_net: Classifier, pixels: tf.Tensor
) -> None:
    freeze(mobile_net, phase)
    cut = cuts.cut_for(mobile_net, phase)
    assert len(cuts.layout(mobile_net, cut)) == num_tensors
    for found, expected in zip(
        logits_and_gradients(mobile_net, pixels, cut), logits_and_gradients(mobile_net, pixels, None), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_one_run_gives_what_crosses_several_cuts(mobile_net: Classifier, pixels: tf.Tensor) -> None:
    phases = head_phase(), fine_tune_phase(unfreeze=Boundary(block="block_12")), fine_tune_phase(unfreeze="batch_norm")
    several = [cuts.cut_for(mobile_net, phase) for phase in phases]
    assert [cut.with_pooling for cut in several] == [True, False, False]
    together = cuts.below(mobile_net, several, pixels)
    for cut, crossing in zip(several, together, strict=True):
        (alone,) = cuts.below(mobile_net, [cut], pixels)
        for found, expected in zip(crossing, alone, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_dropout_below_a_cut_is_off_and_above_it_draws_what_it_draws_in_the_whole(pixels: tf.Tensor) -> None:
    model = classifier("EfficientNetB0")
    phase = fine_tune_phase(unfreeze=Boundary(block="block6c"))
    freeze(model, phase)
    cut = cuts.cut_for(model, phase)
    dropouts = [layer for layer in model.backbone.layers if isinstance(layer, keras.layers.Dropout)]
    states = [np.array(layer.seed_generator.state) for layer in dropouts]
    expected = model.logits(pixels, training=True).numpy()
    after = [np.array(layer.seed_generator.state) for layer in dropouts]
    for layer, state in zip(dropouts, states, strict=True):
        layer.seed_generator.state.assign(state)
    (crossing,) = cuts.below(model, [cut], pixels)
    np.testing.assert_array_equal(cuts.logits_above(model, cut, crossing, training=True), expected)
    for layer, state in zip(dropouts, after, strict=True):
        np.testing.assert_array_equal(layer.seed_generator.state, state)
