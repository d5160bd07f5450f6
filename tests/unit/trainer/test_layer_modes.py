"""Dropout and stochastic depth of a backbone: off below the freeze boundary, on above it, in training only."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_sample_image
from tiny import fine_tune_phase, head_phase

from trainer.classifier import Classifier
from trainer.freezing import freeze
from trainer.settings import Boundary, PhaseSettings

SIZE_PX = 64


@pytest.fixture(scope="module")
def model() -> Classifier:
    """EfficientNetB0 drops whole residual branches; nine of its layers are Dropout."""
    keras.utils.set_random_seed(0)
    backbone = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(SIZE_PX, SIZE_PX, 3))
    model = Classifier(backbone, "identity", num_classes=3, dropout_rate=0.0)
    model.build((None, SIZE_PX, SIZE_PX, 3))
    return model


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    return np.stack([load_sample_image(name)[100:164, 200:264] for name in ("china.jpg", "flower.jpg")] * 4)


def dropouts(model: Classifier) -> dict[str, np.ndarray]:
    """The state of each Dropout layer of the backbone, which moves with every draw."""
    layers = [layer for layer in model.backbone.layers if isinstance(layer, keras.layers.Dropout)]
    return {layer.name: np.array(layer.seed_generator.state) for layer in layers}


def drawn(model: Classifier, phase: PhaseSettings, pixels: np.ndarray, training: bool) -> set[str]:
    freeze(model, phase)
    before = dropouts(model)
    model.logits(pixels, training=training)
    return {name for name, state in dropouts(model).items() if not np.array_equal(state, before[name])}


def test_frozen_features_are_a_function_of_the_image(model: Classifier, photographs: np.ndarray) -> None:
    freeze(model, head_phase())
    first, again = (model.logits(photographs, training=True).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, model.logits(photographs, training=False))


def test_only_layers_above_the_boundary_draw_and_in_training_only(model: Classifier, photographs: np.ndarray) -> None:
    everything = set(dropouts(model))
    assert len(everything) == 9
    above = fine_tune_phase(unfreeze=Boundary(block="block6c"))
    assert drawn(model, head_phase(), photographs, training=True) == set()
    assert drawn(model, above, photographs, training=True) == {"block6c_drop", "block6d_drop"}
    assert drawn(model, above, photographs, training=False) == set()
    assert drawn(model, fine_tune_phase(unfreeze="all"), photographs, training=True) == everything


def test_a_call_of_the_model_follows_the_same_rule(model: Classifier, photographs: np.ndarray) -> None:
    """Also through Keras, whose `fit` tells a Functional model that it is training."""
    freeze(model, head_phase())
    before = dropouts(model)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(photographs, np.zeros(len(photographs), int), verbose=0)
    assert all(np.array_equal(state, before[name]) for name, state in dropouts(model).items())
    np.testing.assert_allclose(np.sum(model(photographs, training=True), axis=-1), 1, rtol=1e-5)


def test_no_gradient_is_computed_below_the_boundary(model: Classifier, photographs: np.ndarray) -> None:
    import tensorflow as tf

    freeze(model, fine_tune_phase(unfreeze=Boundary(layer="block6d_project_conv", cut_blocks=True)))
    below, above = (model.backbone.get_layer(name).kernel for name in ("block6d_dwconv", "block6d_project_conv"))
    with tf.GradientTape() as tape:
        tape.watch([below.value, above.value])
        loss = tf.reduce_sum(model.logits(photographs, training=True) ** 2)
    gradients = tape.gradient(loss, [below.value, above.value])
    assert gradients[0] is None
    assert np.abs(gradients[1]).max() > 0
