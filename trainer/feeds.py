"""What a phase trains on: pixels, or what the frozen layers made of them, read from the cache."""

from typing import Any, Protocol

import tensorflow as tf

from trainer import datasets
from trainer.augmentation_settings import AugmentationSettings
from trainer.classifier import Classifier
from trainer.datasets import Split
from trainer.history import CacheUse


class Feed(Protocol):
    """Batches of a phase, and the model from what is in them to logits.

    Attributes:
        use: whether batches have activations from the cache, rather than pixels, and why.
    """

    use: CacheUse

    def training_batches(self, seed: int, num_epochs: int, first_step: int) -> tf.data.Dataset:
        """See `trainer.datasets.training_batches`."""

    def evaluation_batches(self) -> tf.data.Dataset:
        """See `trainer.datasets.evaluation_batches`."""

    def logits(self, values: Any, training: bool) -> tf.Tensor:
        """float32 [batch, classes], from what a batch has of the images."""

    def repair(self) -> bool:
        """After batches ended with an error: whether it was damage that is mended now, so that new ones go on."""

    def close(self) -> None:
        """Lets go of what it holds."""


class PixelFeed:
    """The images themselves."""

    def __init__(
        self,
        model: Classifier,
        train: Split,
        evaluated: Split,
        global_batch_size: int,
        augmentation: AugmentationSettings,
        why: str,
    ) -> None:
        """See `Feed`.

        Args:
            model: that is trained.
            train: to train on.
            evaluated: to choose epochs by.
            global_batch_size: examples per step, over all replicas.
            augmentation: of the phase.
            why: it is not the cache, in words.
        """
        self.use = CacheUse(False, why)
        self._model, self._train, self._evaluated = model, train, evaluated
        self._global_batch_size, self._num_views = global_batch_size, augmentation.num_views
        self._evaluation: tf.data.Dataset | None = None

    def training_batches(self, seed: int, num_epochs: int, first_step: int) -> tf.data.Dataset:
        """See `Feed`."""
        return datasets.training_batches(
            self._train, self._global_batch_size, seed, num_epochs, first_step, self._num_views
        )

    def evaluation_batches(self) -> tf.data.Dataset:
        """See `Feed`."""
        if self._evaluation is None:
            self._evaluation = datasets.evaluation_batches(self._evaluated, self._global_batch_size)
        return self._evaluation

    def logits(self, values: Any, training: bool) -> tf.Tensor:
        """See `Feed`."""
        return self._model.logits(values, training)

    def repair(self) -> bool:
        """There is nothing to mend."""
        return False

    def close(self) -> None:
        """It holds nothing."""
