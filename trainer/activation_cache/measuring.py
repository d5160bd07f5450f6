"""What the frozen layers, writing and reading cost here and now, from one batch."""

import shutil
import time
import uuid
from collections.abc import Callable, Sequence

import numpy as np

from trainer.activation_cache import entries
from trainer.activation_cache.filling_all import Passes
from trainer.activation_cache.planning import Costs
from trainer.activation_cache.rows import Array, Codec, RowFormat, codec_for
from trainer.activation_cache.store import Store
from trainer.activation_cache.wanted import Wanted


def measure(passes: Passes, wanted: Sequence[Wanted]) -> list[tuple[Costs, Codec]]:
    """Runs the frozen layers on the first images, and keeps and reads what they give, for each of several cuts.

    Args:
        passes: what computes entries; in the folder where they lie files are written, and removed again.
        wanted: entries of one split and view.

    Raises:
        OSError: nothing can be written there.
    """
    below = passes.below_of(wanted)
    ((batch, label_ids, weights),) = below.batches(wanted[0].split, 0, 1)
    below(batch)  # makes the graph
    started_at_s = time.perf_counter()
    tensors = below(batch)
    below_s = (time.perf_counter() - started_at_s) / len(label_ids)
    return [
        _measure_rows(passes.store, each.row_format, each.row_format.pack(found, label_ids, weights), below_s)
        for each, found in zip(wanted, tensors, strict=True)
    ]


def _measure_rows(store: Store, row_format: RowFormat, rows: Array, below_s: float) -> tuple[Costs, Codec]:
    codec = codec_for(rows)
    folder = store.folder / f".trial-{uuid.uuid4().hex}"
    try:
        entry = entries.create(folder, folder.name, row_format, len(rows), codec)
        kept_s = _seconds_per_row(lambda: _write(entry, rows), len(rows))
        read_s = _seconds_per_row(lambda: entry.read(np.arange(len(rows))), len(rows))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Costs(below_s, kept_s, read_s), codec


def _write(entry: entries.Entry, rows: Array) -> None:
    for shard in range(entry.num_shards):
        numbers = entry.rows_of(shard)
        entry.write(shard, rows[numbers.start : numbers.stop])


def _seconds_per_row(call: Callable[[], object], num_rows: int) -> float:
    started_at_s = time.perf_counter()
    call()
    return (time.perf_counter() - started_at_s) / num_rows
