"""The loss of an example, against Keras's and against what is written out by hand."""

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

from trainer.loss_settings import LossSettings
from trainer.losses import class_weights, loss_per_example

NUM_CLASSES = 5
LOGITS = np.random.default_rng(0).normal(size=(40, NUM_CLASSES)).astype(np.float32) * 3
IDS = np.arange(40) % NUM_CLASSES
ONE_HOT = np.eye(NUM_CLASSES, dtype=np.float32)[IDS]


def loss(labels: np.ndarray = ONE_HOT, logits: np.ndarray = LOGITS, weights: np.ndarray | None = None, **keys: object):
    values = loss_per_example(LossSettings(**keys), tf.constant(labels), tf.constant(logits), weights)
    assert values.dtype == tf.float32
    return values.numpy()


def test_the_default_is_cross_entropy_by_class_id() -> None:
    expected = keras.losses.sparse_categorical_crossentropy(IDS, LOGITS, from_logits=True)
    np.testing.assert_allclose(loss(), expected, rtol=1e-5)


def test_label_smoothing_is_that_of_keras() -> None:
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None)
    np.testing.assert_allclose(loss(label_smoothing=0.1), smooth(ONE_HOT, LOGITS), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_that_of_keras(gamma: float) -> None:
    focal = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, from_logits=True, reduction=None)
    np.testing.assert_allclose(loss(focal_gamma=gamma), focal(ONE_HOT, LOGITS), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "keys", [{}, {"label_smoothing": 0.2}, {"focal_gamma": 2.0}, {"focal_gamma": 1.0, "label_smoothing": 0.1}]
)
def test_a_mixed_label_counts_as_its_parts(keys: dict) -> None:
    other = np.roll(ONE_HOT, 1, axis=1)
    weights = np.array([0.5, 1.0, 2.0, 3.0, 0.1], np.float32)
    mixed = loss(0.3 * ONE_HOT + 0.7 * other, weights=weights, **keys)
    parts = 0.3 * loss(weights=weights, **keys) + 0.7 * loss(other, weights=weights, **keys)
    np.testing.assert_allclose(mixed, parts, rtol=1e-5)


@pytest.mark.parametrize("keys", [{}, {"label_smoothing": 0.2}, {"focal_gamma": 2.0}])
def test_a_class_weight_is_a_factor_of_the_loss_of_its_examples(keys: dict) -> None:
    weights = np.array([0.5, 1.0, 2.0, 3.0, 0.0], np.float32)
    np.testing.assert_allclose(loss(weights=weights, **keys), weights[IDS] * loss(**keys), rtol=1e-5)


def test_examples_that_are_right_count_less_in_focal_loss() -> None:
    ratio = loss(focal_gamma=2.0) / loss()
    probability = np.exp(-loss())
    np.testing.assert_allclose(ratio, (1 - probability) ** 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize(
    "keys", [{}, {"focal_gamma": 0.5}, {"focal_gamma": 2.0}, {"focal_gamma": 0.5, "label_smoothing": 0.1}]
)
def test_loss_and_gradient_are_finite_when_all_is_certain(keys: dict, scale: float) -> None:
    logits = tf.Variable(tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]) * scale)
    with tf.GradientTape() as tape:
        values = loss_per_example(LossSettings(**keys), tf.constant([[1.0, 0.0]] * 3), logits)
    assert np.isfinite(values).all()
    assert np.isfinite(tape.gradient(values, logits)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_summed_up_in_float32(dtype: str) -> None:
    halves = tf.cast(LOGITS, dtype)
    expected = loss(logits=tf.cast(halves, tf.float32).numpy(), focal_gamma=2.0)
    values = loss_per_example(LossSettings(focal_gamma=2.0), tf.constant(ONE_HOT), halves)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_balanced_weights_give_every_class_the_same_sum_and_mean_1() -> None:
    counts = np.array([90, 9, 1])
    weights = class_weights("balanced", counts)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights * counts, counts.sum() / 3, rtol=1e-6)
    np.testing.assert_allclose((weights * counts).sum() / counts.sum(), 1, rtol=1e-6)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [5, 2, 13])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights("balanced", np.bincount(labels)), expected, rtol=1e-6)


def test_a_class_without_examples_takes_no_share_of_the_weight() -> None:
    weights = class_weights("balanced", [30, 0, 10])
    np.testing.assert_allclose(weights, [40 / 60, 0, 40 / 20], rtol=1e-6)


def test_weights_of_the_kind_none_are_1() -> None:
    np.testing.assert_array_equal(class_weights("none", [30, 0, 10]), [1, 1, 1])


@pytest.mark.parametrize("counts", [[0, 0], [3, -1]])
def test_counts_that_cannot_be_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="counts of classes"):
        class_weights("balanced", counts)


@pytest.mark.parametrize("keys", [{"label_smoothing": 1.0}, {"focal_gamma": -1.0}, {"class_weights": "balance"}])
def test_settings_that_make_no_sense_are_refused(keys: dict) -> None:
    with pytest.raises(pydantic.ValidationError):
        LossSettings(**keys)
