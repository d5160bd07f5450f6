"""The model as a function of the image alone, whatever `fit` says about training."""

import keras
import numpy as np
import pytest
from tiny import settings

from trainer.classifier import Classifier, build_classifier


@pytest.fixture
def model() -> Classifier:
    return build_classifier(settings(dropout_rate=0.5), num_classes=3)


@pytest.fixture(scope="module")
def pixels(digits: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return digits[0][:6]


def test_probabilities_add_up_to_one(model: Classifier, pixels: np.ndarray) -> None:
    found = model(pixels).numpy()
    assert found.shape == (6, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


def test_equals_its_parts_put_together_by_hand(model: Classifier, pixels: np.ndarray) -> None:
    features = model.backbone(pixels.astype(np.float32) / 255, training=False).numpy().mean(axis=(1, 2))
    logits = features @ np.array(model.head.kernel) + np.array(model.head.bias)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(model(pixels), exponentials / exponentials.sum(axis=-1, keepdims=True), atol=1e-5)


def test_dropout_is_active_in_training_only(model: Classifier, pixels: np.ndarray) -> None:
    first, again = (model(pixels, training=True).numpy() for _ in range(2))
    assert np.abs(first - again).max() > 1e-4
    np.testing.assert_array_equal(model(pixels), model(pixels))


def test_the_backbone_is_in_inference_mode_even_in_training(pixels: np.ndarray) -> None:
    """Its Dropout stays off and its statistics stay still, trainable or not."""
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.BatchNormalization(name="norm")(keras.layers.Dropout(0.9)(inputs))
    backbone = keras.Model(inputs, hidden, name="with_dropout")
    model = Classifier(backbone, "unit", num_classes=3, dropout_rate=0.0)
    model.build((None, 8, 8, 3))
    np.testing.assert_array_equal(model(pixels, training=True), model(pixels, training=False))
    statistics = [np.array(value) for value in backbone.get_layer("norm").non_trainable_variables]
    keras.utils.set_random_seed(1)  # operations are deterministic in these tests, and random ones want a seed
    model.compile(keras.optimizers.Adam(1e-30), "sparse_categorical_crossentropy")
    model.fit(pixels, np.zeros(6, int), verbose=0)
    for before, after in zip(statistics, backbone.get_layer("norm").non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, after)


def test_head_has_its_variables_before_the_first_call(model: Classifier) -> None:
    assert [variable.shape for variable in model.head.weights] == [(model.backbone.output_shape[-1], 3), (3,)]
