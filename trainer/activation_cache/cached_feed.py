"""Training on activations that lie in the cache."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import tensorflow as tf

from trainer.activation_cache import cuts
from trainer.activation_cache.cuts import Cut
from trainer.activation_cache.reading import Reader
from trainer.classifier import Classifier
from trainer.history import CacheUse


class CachedFeed:
    """See `trainer.feeds.Feed`."""

    def __init__(
        self,
        model: Classifier,
        cut: Cut,
        readers: tuple[Reader, Reader],
        global_batch_size: int,
        why: str,
        refill: Callable[[], None],
        held: ExitStack,
    ) -> None:
        """Takes entries that are complete.

        Args:
            model: that is trained.
            cut: where the activations are from.
            readers: of the training split and of the eval split.
            global_batch_size: examples per step, over all replicas.
            why: it is the cache, and what that saves, in words.
            refill: computes what is damaged anew.
            held: keeps the entries from being thrown out.
        """
        self.use = CacheUse(True, why)
        self._model, self._cut, self._global_batch_size = model, cut, global_batch_size
        self._train, self._evaluated = readers
        self._refill, self._held = refill, held
        self._evaluation: tf.data.Dataset | None = None
        self._dtypes = [spec.dtype for spec in cuts.layout(model, cut)]

    def training_batches(self, seed: int, num_epochs: int, first_step: int) -> tf.data.Dataset:
        """See `Feed`."""
        return self._train.training_batches(self._global_batch_size, seed, num_epochs, first_step)

    def evaluation_batches(self) -> tf.data.Dataset:
        """See `Feed`."""
        if self._evaluation is None:  # to make a data set anew takes longer than to read a small one
            self._evaluation = self._evaluated.evaluation_batches(self._global_batch_size)
        return self._evaluation

    def logits(self, values: Any, training: bool) -> tf.Tensor:
        """See `Feed`."""
        tensors = [tf.cast(tensor, dtype) for tensor, dtype in zip(values, self._dtypes, strict=True)]
        return cuts.logits_above(self._model, self._cut, tensors, training)

    def repair(self) -> bool:
        """See `Feed`."""
        damaged = [reader for reader in (self._train, self._evaluated) if reader.is_damaged]
        if damaged:
            self._refill()
        for reader in damaged:
            reader.is_damaged = False
        return bool(damaged)

    def close(self) -> None:
        """See `Feed`."""
        self._held.close()
