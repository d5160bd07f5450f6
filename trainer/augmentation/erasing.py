"""Random erasing (Zhong et al. 2020)."""

import tensorflow as tf

from trainer.augmentation import draws, geometry

# As in the paper: shares of the image's area, and the width over the height or the inverse.
AREAS = (0.02, 0.33)
MAX_ASPECT_RATIO = 1 / 0.3


def erase(images: tf.Tensor, seeds: tf.Tensor, probability: float) -> tf.Tensor:
    """Puts a rectangle of noise into some of the images.

    Args:
        images: float32 [batch, height, width, 3] of 0..255.
        seeds: int32 [batch, 2].
        probability: how many of them.

    Returns:
        As `images`; values of the noise are whole numbers.
    """
    height_px, width_px = geometry.size_px(images)
    inside = geometry.rectangles(seeds, "erasing", AREAS, MAX_ASPECT_RATIO, height_px, width_px)
    chosen = draws.happens(seeds, "erasing", probability)
    noise = tf.floor(draws.noise(seeds, "erasing noise", height_px, width_px) * 256.0)
    return geometry.choose(inside & geometry.per_image(chosen), noise, images)
