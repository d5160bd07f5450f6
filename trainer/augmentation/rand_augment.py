"""RandAugment (Cubuk et al. 2020): its fourteen operations, each stronger with the magnitude.

In the paper's code some operations are strongest at magnitude 0 (solarize, posterize) or change most there (brightness
by a factor of 0.1); here 0 is nothing and 1 the paper's greatest for all of them, as in timm's "increasing" set.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from trainer.augmentation import colour, draws, geometry
from trainer.augmentation_settings import RandAugmentSettings

# Of images, float32 [batch, height, width, 3] of 0..255, the magnitude, and a sign for each image, float32 [batch].
Operation = Callable[[tf.Tensor, float, tf.Tensor], tf.Tensor]

_MAX_ROTATION = math.radians(30)
_MAX_SHEAR = 0.3
_MAX_TRANSLATION = 100 / 224  # 100 pixels of ImageNet's 224
_MAX_CHANGE = 0.9  # brightness and the like by a factor of 0.1 or 1.9
_MAX_NUM_BITS_LOST = 4

OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, magnitude, signs: images,
    "autocontrast": lambda images, magnitude, signs: colour.autocontrast(images),
    "equalize": lambda images, magnitude, signs: colour.equalize(images),
    "rotate": lambda images, magnitude, signs: geometry.rotate(images, signs * magnitude * _MAX_ROTATION),
    "shear_x": lambda images, magnitude, signs: geometry.shear_x(images, signs * magnitude * _MAX_SHEAR),
    "shear_y": lambda images, magnitude, signs: geometry.shear_y(images, signs * magnitude * _MAX_SHEAR),
    "translate_x": lambda images, magnitude, signs: geometry.translate(
        images, signs * magnitude * _MAX_TRANSLATION, tf.zeros_like(signs)
    ),
    "translate_y": lambda images, magnitude, signs: geometry.translate(
        images, tf.zeros_like(signs), signs * magnitude * _MAX_TRANSLATION
    ),
    "brightness": lambda images, magnitude, signs: colour.brightness(images, 1.0 + signs * magnitude * _MAX_CHANGE),
    "contrast": lambda images, magnitude, signs: colour.contrast(images, 1.0 + signs * magnitude * _MAX_CHANGE),
    "saturation": lambda images, magnitude, signs: colour.saturation(images, 1.0 + signs * magnitude * _MAX_CHANGE),
    "sharpness": lambda images, magnitude, signs: colour.sharpness(images, 1.0 + signs * magnitude * _MAX_CHANGE),
    "posterize": lambda images, magnitude, signs: colour.posterize(images, 8 - round(_MAX_NUM_BITS_LOST * magnitude)),
    "solarize": lambda images, magnitude, signs: colour.solarize(images, 256.0 * (1.0 - magnitude)),
}


def rand_augment(images: tf.Tensor, seeds: tf.Tensor, settings: RandAugmentSettings) -> tf.Tensor:
    """Some of the operations on each image, drawn with repetition, one after the other.

    Args:
        images: float32 [batch, height, width, 3] of 0..255.
        seeds: int32 [batch, 2].
        settings: how many, and how strong.

    Returns:
        As `images`.
    """
    for number in range(settings.num_operations):
        chosen = draws.integers(seeds, f"operation {number}", len(OPERATIONS))
        signs = draws.signs(seeds, f"operation {number} sign")
        images = _apply_chosen(images, chosen, signs, settings.magnitude)
    return images


def _apply_chosen(images: tf.Tensor, chosen: tf.Tensor, signs: tf.Tensor, magnitude: float) -> tf.Tensor:
    """Sorts the batch by operation, so that each image pays for one of them only."""
    places = tf.dynamic_partition(tf.range(tf.shape(images)[0]), chosen, len(OPERATIONS))
    results = []
    for operation, indices in zip(OPERATIONS.values(), places, strict=True):
        part = tf.ensure_shape(tf.gather(images, indices), [None, *images.shape[1:]])
        results.append(operation(part, magnitude, tf.gather(signs, indices)))
    return tf.ensure_shape(tf.dynamic_stitch(places, results), images.shape)
