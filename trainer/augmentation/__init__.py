"""Variation of training images, as TensorFlow operations that run where the training step runs."""

from trainer.augmentation.augmenting import augment

__all__ = ["augment"]
