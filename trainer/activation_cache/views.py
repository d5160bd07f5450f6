"""Fixed variations of each image, drawn with the phase's seed, so that what frozen layers make of them can be kept."""

from dataclasses import dataclass

import tensorflow as tf

from trainer import augmentation
from trainer.augmentation_settings import AugmentationSettings


@dataclass(frozen=True)
class View:
    """One of the fixed variations of the images of a phase.

    Attributes:
        augmentation: what may happen to an image, with `num_views`.
        seed: of the phase's augmentation.
        number: of the view, from 0.
    """

    augmentation: AugmentationSettings
    seed: int
    number: int

    @property
    def identity(self) -> list[object]:
        """What its images follow from, as plain values."""
        return [self.augmentation.model_dump(mode="json"), self.seed, self.number]

    def of(self, pixels: tf.Tensor, image_numbers: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The images as training sees them in this view.

        Args:
            pixels: uint8 [batch, height, width, 3].
            image_numbers: int64 [batch], places in the split.
            weights: float32 [batch]; 0 for padding, which stays as it is.

        Returns:
            float32 of the same shape.
        """
        positions = position_of(image_numbers, tf.constant(self.number, tf.int64), self.augmentation.num_views or 1)
        no_labels = tf.zeros([tf.shape(weights)[0], 1])
        varied, _ = augmentation.augment(
            self.augmentation, pixels, no_labels, weights, example_seeds(self.seed, positions)
        )
        return varied


def position_of(image_numbers: tf.Tensor, view: tf.Tensor, num_views: int) -> tf.Tensor:
    """What the random numbers of an image in a view follow from: int64 [batch]."""
    return image_numbers * num_views + view


def example_seeds(seed: int, positions: tf.Tensor) -> tf.Tensor:
    """One seed for each example, int32 [batch, 2], from the phase's and its position."""
    return tf.stack([tf.fill(tf.shape(positions), tf.constant(seed, tf.int32)), tf.cast(positions, tf.int32)], axis=1)
