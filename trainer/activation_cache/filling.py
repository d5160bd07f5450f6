"""The pass that fills the cache: missing rows are computed on all replicas, and written whenever a shard is full."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import datasets
from trainer.activation_cache import cuts
from trainer.activation_cache.cuts import Cut
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.rows import Array, RowFormat
from trainer.activation_cache.views import View
from trainer.classifier import Classifier
from trainer.datasets import Split
from trainer.progress import Tally


class Below:
    """What crosses some cuts, as a graph that runs on every replica.

    Attributes:
        global_batch_size: images per call.
    """

    def __init__(
        self,
        model: Classifier,
        strategy: tf.distribute.Strategy,
        global_batch_size: int,
        formats: Sequence[tuple[Cut, RowFormat]],
        view: View | None,
    ) -> None:
        """Traced at the first call.

        Args:
            model: whose layers below the cuts are not in training.
            strategy: that the model was built under.
            global_batch_size: images per call, over all replicas.
            formats: cuts, and how what crosses them is stored.
            view: that the images are seen in; None for the images as they are.
        """
        self.global_batch_size = global_batch_size
        self._model, self._strategy, self._view = model, strategy, view
        self._formats = tuple(formats)
        self._graph = tf.function(self._run, autograph=False)

    def __call__(self, batch: Any) -> list[list[Array]]:
        """For each cut the stored tensors, [global batch, …]."""
        outputs = self._graph(batch)
        return [[self._joined(tensor) for tensor in tensors] for tensors in outputs]

    def batches(self, split: Split, first_example: int, num_batches: int) -> Iterator[tuple[Any, Array, Array]]:
        """What to call it with, label ids and weights, in the order of the files; blank ones after the last."""
        dataset = datasets.batches_in_order(split, self.global_batch_size, first_example, num_batches)
        for batch in self._strategy.experimental_distribute_dataset(dataset):
            yield batch, self._joined(batch[1]), self._joined(batch[2])

    def _run(self, batch: Any) -> Any:
        return self._strategy.run(self._run_on_replica, args=batch)

    def _run_on_replica(self, inputs: dict[str, tf.Tensor], _: tf.Tensor, weights: tf.Tensor) -> Any:
        pixels = inputs["pixels"]
        if self._view is not None:
            pixels = self._view.of(pixels, inputs["number"], weights)
        crossing = cuts.below(self._model, [cut for cut, _ in self._formats], pixels)
        return [
            [tf.cast(tensor, spec.dtype) for tensor, spec in zip(tensors, row_format.tensors, strict=True)]
            for tensors, (_, row_format) in zip(crossing, self._formats, strict=True)
        ]

    def _joined(self, value: Any) -> Array:
        """Of all replicas, in their order: each took its part of the batch in that order."""
        return np.concatenate([part.numpy() for part in self._strategy.experimental_local_results(value)])


@dataclass
class Filling:
    """An entry that is being filled.

    Attributes:
        entry: where rows go.
        missing: its shards that are to be written.
    """

    entry: Entry
    missing: set[int]
    _rows: dict[int, list[Array]] = field(default_factory=dict)

    def add(self, first_row: int, rows: Array) -> None:
        """Takes rows that follow one another, and writes each shard that is full with them.

        Raises:
            OSError: a shard could not be written.
        """
        shard_size = self.entry.rows_per_shard
        last_row = min(first_row + len(rows), self.entry.num_rows)
        for shard in range(first_row // shard_size, -(-last_row // shard_size)):
            if shard not in self.missing:
                continue
            numbers = self.entry.rows_of(shard)
            start, end = max(numbers.start, first_row), min(numbers.stop, last_row)
            self._rows.setdefault(shard, []).append(rows[start - first_row : end - first_row])
            if end == numbers.stop:
                self.entry.write(shard, np.concatenate(self._rows.pop(shard)))
                self.missing.discard(shard)


def fill(fillings: Sequence[Filling], below: Below, split: Split, tally: Tally, check: Callable[[], None]) -> None:
    """Computes and writes what is missing in several entries of one split and view, in one pass.

    Args:
        fillings: in the order of the cuts that `below` was made for.
        below: computes.
        split: the images; the row after the last is that of a blank one, which stands for padding.
        tally: told of each image.
        check: called before each batch; what it raises ends the pass, and full shards stay.

    Raises:
        OSError: a shard could not be written.
    """
    for rows in _needed(fillings):
        num_batches = -(-len(rows) // below.global_batch_size)
        first_row = rows.start
        check()
        for batch, label_ids, weights in below.batches(split, rows.start, num_batches):
            for filling, tensors in zip(fillings, below(batch), strict=True):
                filling.add(first_row, filling.entry.row_format.pack(tensors, label_ids, weights))
            tally.advance(min(below.global_batch_size, rows.stop - first_row), "once through the frozen layers")
            first_row += below.global_batch_size
            check()


def num_missing_rows(fillings: Sequence[Filling]) -> int:
    """How many images the pass goes through."""
    return sum(len(rows) for rows in _needed(fillings))


def _needed(fillings: Sequence[Filling]) -> list[range]:
    """Stretches of rows that some entry lacks, in order, apart from one another."""
    lacking = sorted(
        (filling.entry.rows_of(shard) for filling in fillings for shard in filling.missing), key=lambda rows: rows.start
    )
    found: list[range] = []
    for rows in lacking:
        if found and rows.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, rows.stop))
        else:
            found.append(rows)
    return found
