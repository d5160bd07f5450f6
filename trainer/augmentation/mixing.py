"""Mixing of images and of their labels: MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Images are float32 [batch, height, width, 3]; seeds int32 [batch, 2]; `is_real` bool [batch] is false for padding.
"""

import tensorflow as tf

from trainer.augmentation import draws, geometry
from trainer.augmentation_settings import AugmentationSettings

# Halvings of 0..1 that find a quantile; float32 has no more places.
_NUM_HALVINGS = 24


def mix(
    settings: AugmentationSettings, images: tf.Tensor, labels: tf.Tensor, is_real: tf.Tensor, seeds: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Each real example with another real one of the batch; padding stays, and goes into nothing.

    Args:
        settings: says which of the two, or both in turn, or none.
        images: see the module.
        labels: float32 [batch, classes], probabilities.
        is_real: see the module.
        seeds: likewise.

    Returns:
        Images and labels.
    """
    if not (settings.mix_up_alpha or settings.cut_mix_alpha):
        return images, labels
    partners = partners_of(is_real, seeds)
    others = tf.gather(images, partners)
    is_blended = _is_blended(settings, partners, seeds)
    share = tf.zeros(tf.shape(is_real))
    if settings.mix_up_alpha:
        share = tf.where(is_blended, beta(draws.uniform(seeds, "MixUp"), settings.mix_up_alpha), 0.0)
        images = images + geometry.per_image(share) * (others - images)
    if settings.cut_mix_alpha:
        inside, area = _rectangles(settings.cut_mix_alpha, images, seeds)
        images = geometry.choose(inside & ~is_blended, others, images)
        share = tf.where(is_blended, share, area)
    return images, labels + share[:, None] * (tf.gather(labels, partners) - labels)


def partners_of(is_real: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Whom each example is mixed with: the next one in a random circle of all real examples of the batch.

    So each is used once, none with itself unless it is alone, and padding with itself only.

    Returns:
        Places in the batch, int32 [batch].
    """
    num_examples = tf.shape(is_real)[0]
    circle = _in_random_order(is_real, seeds)
    num_real = tf.math.count_nonzero(is_real, dtype=tf.int32)
    places = tf.range(num_examples)
    following = tf.where(places < num_real, (places + 1) % tf.maximum(num_real, 1), places)
    return tf.scatter_nd(circle[:, None], tf.gather(circle, following), [num_examples])


def _in_random_order(is_real: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Places of the real examples in random order, then of the padding."""
    keys = tf.where(is_real, draws.uniform(seeds, "partner"), 2.0)
    return tf.argsort(keys, stable=True)


def _is_blended(settings: AugmentationSettings, partners: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Whether this batch takes MixUp, and not CutMix: bool []."""
    if not (settings.mix_up_alpha and settings.cut_mix_alpha):
        return tf.constant(settings.mix_up_alpha > 0)
    is_mixed = partners != tf.range(tf.shape(partners)[0])
    heads = draws.happens(seeds, "MixUp or CutMix", 0.5) & is_mixed
    return tf.math.count_nonzero(heads) % 2 == 0  # the parity of fair coins is a fair coin


def _rectangles(alpha: float, images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the image's aspect ratio about a uniform centre, cut off at the border, as in CutMix's paper.

    Returns:
        bool [batch, height, width, 3], true within, and their shares of the area, float32 [batch].
    """
    height_px, width_px = geometry.size_px(images)
    side = tf.sqrt(beta(draws.uniform(seeds, "CutMix"), alpha))
    top, bottom = _side_within(seeds, "CutMix top", side, height_px)
    left, right = _side_within(seeds, "CutMix left", side, width_px)
    inside = geometry.box(top, bottom, left, right, height_px, width_px)
    return inside, (bottom - top) * (right - left) / (height_px * width_px)


def _side_within(seeds: tf.Tensor, purpose: str, side: tf.Tensor, num_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    centre = tf.floor(draws.uniform(seeds, purpose) * num_px)
    half = tf.floor(side * num_px / 2.0)
    return tf.maximum(centre - half, 0.0), tf.minimum(centre + half, float(num_px))


def beta(quantiles: tf.Tensor, alpha: float) -> tf.Tensor:
    """Numbers of the distribution Beta(alpha, alpha) at given quantiles, float32 of any shape."""
    parameter = tf.fill(tf.shape(quantiles), tf.constant(alpha, tf.float32))
    low, high = tf.zeros_like(quantiles), tf.ones_like(quantiles)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2.0
        is_above = tf.math.betainc(parameter, parameter, middle) < quantiles
        low, high = tf.where(is_above, middle, low), tf.where(is_above, high, middle)
    return (low + high) / 2.0
