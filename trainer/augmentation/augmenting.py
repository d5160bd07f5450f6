"""All that may happen to a batch of training images, in its order."""

from collections.abc import Callable, Iterator

import tensorflow as tf

from trainer.augmentation import colour, erasing, geometry, mixing, rand_augment
from trainer.augmentation_settings import AugmentationSettings

_Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def augment(
    settings: AugmentationSettings,
    pixels: tf.Tensor,
    label_probabilities: tf.Tensor,
    weights: tf.Tensor,
    example_seeds: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Varies a batch as the settings say: mirroring, crop, RandAugment, colour, erasing, then mixing.

    What happens to an image alone is a function of the image, its seed and the settings; its place in the batch changes
    no more than the last bits of a float. Whom it is mixed with depends on the batch as well, which with several
    replicas is the replica's share.

    Some of the operations have no XLA kernel (ImageProjectiveTransformV3, and RandAugment's parts of varying size):
    call it outside of what is compiled with `jit_compile`. Nothing here needs or gives gradients.

    Args:
        settings: what may happen.
        pixels: uint8 [batch, height, width, 3]; height and width known to the graph.
        label_probabilities: float32 [batch, classes], summing to 1.
        weights: float32 [batch]; examples of weight 0 are padding, which stays as it is and is mixed into nothing.
        example_seeds: int32 [batch, 2]; no two examples of a phase should have the same, nor one in two epochs.

    Returns:
        Pixels, float32 of the same shape and of 0..255, not rounded; and label probabilities. The weights stay: a mixed
        example counts as much as the one that it began as.
    """
    images = tf.cast(pixels, tf.float32)
    if settings.changes_nothing:
        return images, label_probabilities
    is_real = weights > 0.0
    varied = images
    for step in _steps(settings):
        varied = step(varied, example_seeds)
    varied = geometry.choose(is_real, varied, images)
    return mixing.mix(settings, varied, label_probabilities, is_real, example_seeds)


def _steps(settings: AugmentationSettings) -> Iterator[_Step]:
    """What happens to each image alone."""
    if settings.horizontal_flip:
        yield geometry.flip_horizontally
    if settings.vertical_flip:
        yield geometry.flip_vertically
    if settings.min_crop_fraction < 1:
        yield lambda images, seeds: geometry.crop(images, seeds, settings.min_crop_fraction)
    if (chosen := settings.rand_augment) is not None:
        yield lambda images, seeds: rand_augment.rand_augment(images, seeds, chosen)
    if settings.colour_strength:
        yield lambda images, seeds: colour.jitter(images, seeds, settings.colour_strength)
    if settings.erasing_probability:
        yield lambda images, seeds: erasing.erase(images, seeds, settings.erasing_probability)
