"""What pixels look like: brightness, contrast, saturation and the like, after Pillow's ImageEnhance and ImageOps.

Images are float32 [batch, height, width, 3] of 0..255, and so are results.
"""

import tensorflow as tf

from trainer.augmentation import draws
from trainer.augmentation.geometry import choose, per_image

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to "L"
_NUM_LEVELS = 256


def jitter(images: tf.Tensor, seeds: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, then contrast, then saturation, each by a factor from 1 - strength to 1 + strength."""
    for name, change in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        images = change(images, draws.uniform(seeds, f"colour {name}", 1.0 - strength, 1.0 + strength))
    return images


def brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Away from black by a factor, float32 [batch]."""
    return _away_from(tf.zeros_like(images), images, factor)


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Away from the image's mean grey by a factor, float32 [batch]."""
    mean = tf.reduce_mean(_grey(images), axis=[1, 2, 3], keepdims=True)
    return _away_from(tf.floor(mean + 0.5), images, factor)


def saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Away from the image in grey by a factor, float32 [batch]."""
    return _away_from(_grey(images), images, factor)


def sharpness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Away from the smoothed image by a factor, float32 [batch]; pixels at the border stay, as in Pillow."""
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = images[:, 1:-1, 1:-1]
    difference = (sums + 4.0 * inner) / 13.0 - inner
    smooth = images + tf.pad(difference, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return _away_from(smooth, images, factor)


def autocontrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0..255; a channel of one value stays."""
    lowest = tf.reduce_min(images, axis=[1, 2], keepdims=True)
    spread = tf.reduce_max(images, axis=[1, 2], keepdims=True) - lowest
    gain = tf.where(spread > 0.0, 255.0 / tf.maximum(spread, 1e-6), 1.0)
    start = tf.where(spread > 0.0, lowest, 0.0)
    return tf.clip_by_value((images - start) * gain, 0.0, 255.0)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Spreads the values of each channel evenly over 0..255, on pixels rounded to whole levels."""
    shape = tf.shape(images)
    num_channels = shape[0] * 3
    levels = tf.cast(tf.round(images), tf.int32)
    bins = tf.reshape(tf.range(num_channels), [-1, 1, 1, 3]) * _NUM_LEVELS + levels
    # Sums of ones are exact in float32 in any order, so the result is the same in every run.
    counts = tf.math.unsorted_segment_sum(tf.ones([tf.size(bins)]), tf.reshape(bins, [-1]), num_channels * _NUM_LEVELS)
    tables = _equalizing_tables(tf.reshape(counts, [-1, _NUM_LEVELS]))
    return tf.gather(tf.reshape(tables, [-1]), bins)


def _equalizing_tables(counts: tf.Tensor) -> tf.Tensor:
    """From how often each level occurs to what becomes of it, both float32 [channels, 256], as Pillow has it."""
    num_pixels = tf.reduce_sum(counts, axis=1, keepdims=True)
    at_or_below = tf.cumsum(counts, axis=1)
    below = at_or_below - counts
    at_highest = num_pixels - tf.reduce_max(tf.where(counts > 0.0, below, 0.0), axis=1, keepdims=True)
    step = tf.floor((num_pixels - at_highest) / 255.0)
    table = tf.floor((tf.floor(step / 2.0) + below) / tf.maximum(step, 1.0))
    unchanged = tf.range(_NUM_LEVELS, dtype=tf.float32)[None, :]
    return tf.where(step > 0.0, tf.minimum(table, 255.0), unchanged)


def posterize(images: tf.Tensor, num_bits: int) -> tf.Tensor:
    """Keeps the upper bits of each value."""
    step = 2.0 ** (8 - num_bits)
    return tf.floor(images / step) * step


def solarize(images: tf.Tensor, threshold: float) -> tf.Tensor:
    """Inverts values from a threshold up."""
    return choose(images >= threshold, 255.0 - images, images)


def _grey(images: tf.Tensor) -> tf.Tensor:
    """float32 [batch, height, width, 1]."""
    red, green, blue = tf.unstack(images, axis=-1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[..., None]


def _away_from(nothing: tf.Tensor, images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`nothing` with factor 0, the images with 1, more than they are beyond 1; within 0..255."""
    return tf.clip_by_value(nothing + per_image(factor) * (images - nothing), 0.0, 255.0)
