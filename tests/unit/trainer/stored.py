"""Entries of the cache that hold drawn rows."""

import numpy as np
import tensorflow as tf

from trainer.activation_cache.entries import Entry
from trainer.activation_cache.rows import Codec, RowFormat
from trainer.activation_cache.store import Store

ROWS = RowFormat((tf.TensorSpec([2, 3], tf.float32), tf.TensorSpec([4], tf.bfloat16)))
NUM_ROWS = 1300
KEY = "a" * 32


def rows(num_rows: int = NUM_ROWS, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    tensors = draw.normal(size=(num_rows, 2, 3)).astype("f4"), tf.cast(draw.normal(size=(num_rows, 4)), tf.bfloat16)
    return ROWS.pack([tensors[0], tensors[1].numpy()], np.arange(num_rows), np.ones(num_rows))


def filled(store: Store, key: str = KEY, codec: Codec = "none") -> Entry:
    entry = store.create(key, ROWS, NUM_ROWS, codec)
    for shard in range(entry.num_shards):
        numbers = entry.rows_of(shard)
        entry.write(shard, rows()[numbers.start : numbers.stop])
    return entry


def left(store: Store) -> set[str]:
    """Keys of what is there."""
    return {path.name for path in (store.folder / "entries").iterdir()}
