"""Batches of cached activations: the same examples, in the same order and the same shares, as batches of pixels."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainer import datasets
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.rows import Array
from trainer.activation_cache.shards import DamagedShard
from trainer.datasets import Split

# What takes the place of "pixels" among the inputs.
ACTIVATIONS = "activations"


class Reader:
    """Reads rows for a dataset, and remembers which entries it found damaged.

    Attributes:
        is_damaged: an entry was; the dataset has ended with an error.
    """

    def __init__(self, views: Sequence[Entry], split: Split) -> None:
        """Takes entries of one row format.

        Args:
            views: the entry of each view of the split's images.
            split: whose examples the rows are of, in their order; the last row is of a blank one.
        """
        self._views, self._split = tuple(views), split
        self.is_damaged = False

    def training_batches(
        self, global_batch_size: int, seed: int, num_epochs: int, first_step: int = 0
    ) -> tf.data.Dataset:
        """As `trainer.datasets.training_batches`, with a tuple of tensors at "activations" in the place of pixels."""
        split = self._split

        def epoch(number: tf.Tensor, first_batch: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.data.Dataset.range(split.num_examples)
            ordered = datasets.in_order_of(numbers, split, global_batch_size, seed, number)
            before = number * split.num_batches(global_batch_size)
            return self._batches(ordered, number % len(self._views), global_batch_size, first_batch, before)

        return datasets.in_epochs(split, global_batch_size, num_epochs, first_step, epoch)

    def evaluation_batches(self, global_batch_size: int) -> tf.data.Dataset:
        """As `trainer.datasets.evaluation_batches`, likewise."""
        numbers, none = tf.data.Dataset.range(self._split.num_examples), tf.constant(0, tf.int64)
        batches = self._batches(numbers, none, global_batch_size, none, none)
        return datasets.finished(batches, self._split.num_batches(global_batch_size))

    def _batches(
        self,
        numbers: tf.data.Dataset,
        view: tf.Tensor,
        global_batch_size: int,
        first_batch: tf.Tensor,
        num_batches_before: tf.Tensor,
    ) -> tf.data.Dataset:
        split = self._split
        num_padding = split.num_batches(global_batch_size) * global_batch_size - split.num_examples
        blank = tf.constant(split.num_examples, tf.int64)
        numbers = numbers.skip(first_batch * global_batch_size)
        padded = numbers.concatenate(tf.data.Dataset.from_tensors(blank).repeat(num_padding))
        batches = padded.batch(global_batch_size, drop_remainder=True).map(self._reading(view))
        return batches.enumerate(num_batches_before + first_batch).map(
            lambda number, batch: datasets.with_share_and_position(number, batch, split.mean_weight)
        )

    def _reading(self, view: tf.Tensor) -> Callable[[tf.Tensor], tuple[object, ...]]:
        row_format = self._views[0].row_format

        def read(numbers: tf.Tensor) -> tuple[object, ...]:
            # Python's part is to find and to verify the rows; it holds no lock of TensorFlow's while it reads.
            *tensors, labels, weights = tf.numpy_function(self._read, [view, numbers], row_format.dtypes_read)
            activations = row_format.restore(
                [
                    tf.ensure_shape(t, [numbers.shape[0], *spec.shape])
                    for t, spec in zip(tensors, row_format.tensors, strict=True)
                ]
            )
            is_real = tf.cast(numbers < self._split.num_examples, tf.float32)
            labels, weights = (tf.ensure_shape(values, numbers.shape) for values in (labels, weights))
            return {ACTIVATIONS: activations}, labels, weights, is_real

        return read

    def _read(self, view: Array, numbers: Array) -> list[Array]:
        entry = self._views[int(view)]
        try:
            return entry.row_format.unpack(entry.read(np.asarray(numbers)))
        except DamagedShard:
            self.is_damaged = True
            raise
