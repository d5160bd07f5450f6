"""The loss of an example: cross-entropy, with label smoothing, focusing and class weights."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.loss_settings import ClassWeights, LossSettings

# Keeps the power of what is missing to certainty differentiable where nothing is; float32 next to 1 has this spacing.
_LEAST_MISSING = 1e-7


def loss_per_example(
    settings: LossSettings,
    label_probabilities: tf.Tensor,
    logits: tf.Tensor,
    weights_of_classes: tf.Tensor | None = None,
) -> tf.Tensor:
    """The training loss of each example, in nats.

    A mixed label counts as its parts: the loss is the sum over classes of probability, class weight, and the loss of a
    label of that class alone. Smoothing comes after the weights, so that what it spreads does not grow with the weight
    of a rare class that the example is not of.

    Args:
        settings: of the loss; `class_weights` is not looked at, the weights being given.
        label_probabilities: float32 [batch, classes], summing to 1.
        logits: [batch, classes], of any floating type; the loss is computed in float32.
        weights_of_classes: float32 [classes], from `class_weights`; None for 1 each.

    Returns:
        float32 [batch], not weighted by example, so that padding is not taken out.
    """
    labels = label_probabilities
    if weights_of_classes is not None:
        labels = labels * tf.cast(weights_of_classes, tf.float32)[None, :]
    labels = _smooth(labels, settings.label_smoothing)
    log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    if settings.focal_gamma:
        missing = tf.maximum(1.0 - tf.exp(log_probabilities), _LEAST_MISSING)
        labels = labels * missing**settings.focal_gamma
    return -tf.reduce_sum(labels * log_probabilities, axis=-1)


def class_weights(kind: ClassWeights, counts: Sequence[float]) -> np.ndarray:
    """How much a label of each class counts.

    Args:
        kind: "none" for 1 each; "balanced" for n / (k·m), with n examples, k classes that have any, and m of the class.
        counts: training examples of each class in the order of the label ids, or the sums of their weights.

    Returns:
        float32 [classes], of mean 1 over the examples; a class without examples has 0 if balanced.

    Raises:
        ValueError: a count is negative, or all are 0.
    """
    numbers = np.asarray(counts, np.float64)
    if (numbers < 0).any() or not numbers.any():
        raise ValueError(f"counts of classes are {list(counts)}; none may be negative, nor all of them 0")
    if kind == "none":
        return np.ones(len(numbers), np.float32)
    present = numbers > 0
    balanced = numbers.sum() / (present.sum() * np.where(present, numbers, 1.0))
    return np.where(present, balanced, 0.0).astype(np.float32)


def _smooth(labels: tf.Tensor, share: float) -> tf.Tensor:
    """Spreads a share of each label evenly over all classes; sums stay."""
    if not share:
        return labels
    num_classes = tf.cast(tf.shape(labels)[-1], tf.float32)
    return (1.0 - share) * labels + share * tf.reduce_sum(labels, axis=-1, keepdims=True) / num_classes
