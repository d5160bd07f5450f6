"""One entry of the cache: the rows of one split, cut and view, in shards."""

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import numpy as np

from trainer.activation_cache import shards
from trainer.activation_cache.rows import Array, Codec, RowFormat
from trainer.activation_cache.shards import DamagedShard, Shard
from trainer.files import flush

_MANIFEST = "entry.json"
_FORMAT = 1
_MAX_SHARD_BYTES = 32 * 2**20
# A killed pass loses the work on as many images.
_MAX_ROWS_PER_SHARD = 512
_MOST_BYTES_OF_MANIFEST = 128


@dataclass(frozen=True)
class Entry:
    """Where the rows of one split, cut and view lie; `key` says of which.

    Attributes:
        folder: that it is in.
        key: digest of everything that the rows follow from.
        row_format: of its rows.
        num_rows: how many it has when it is complete.
        codec: how rows are stored.
    """

    folder: Path
    key: str
    row_format: RowFormat
    num_rows: int
    codec: Codec

    @property
    def rows_per_shard(self) -> int:
        """The same in every process: a power of two."""
        return _rows_per_shard(self.row_format)

    @property
    def num_shards(self) -> int:
        """When it is complete."""
        return -(-self.num_rows // self.rows_per_shard)

    def rows_of(self, shard: int) -> range:
        """Numbers of the rows in a shard."""
        return range(shard * self.rows_per_shard, min((shard + 1) * self.rows_per_shard, self.num_rows))

    def write(self, shard: int, rows: Array) -> None:
        """Writes all rows of a shard.

        Raises:
            OSError: it could not be written; nothing is left behind.
        """
        numbers = self.rows_of(shard)
        assert len(rows) == len(numbers)
        shards.write(self._path(shard), self.key, numbers.start, self.codec, [row.tobytes() for row in rows])

    def missing(self, check: Callable[[], None] = lambda: None) -> list[int]:
        """Shards that are not there, or damaged: every row is read; `check` is called for each shard."""
        return [shard for shard in range(self.num_shards) if not self._is_whole(shard, check)]

    def read(self, numbers: Array) -> Array:
        """Rows by their numbers, verified; of the dtype of the row format.

        Raises:
            DamagedShard: a row is not what was written, or not there.
        """
        rows = np.empty(len(numbers), self.row_format.dtype)
        order, shard_size = np.argsort(numbers, kind="stable"), self.rows_per_shard
        for shard, places in groupby(order, key=lambda place: int(numbers[place]) // shard_size):
            chosen = list(places)
            read = self._open(shard).read([int(numbers[place]) for place in chosen])
            for place, content in zip(chosen, read, strict=True):
                rows[place] = np.frombuffer(content, rows.dtype)[0]
        return rows

    def mark_used(self) -> None:
        """Makes it the most recently used entry, as far as the folder can be written to."""
        try:
            os.utime(self.folder / _MANIFEST)
        except OSError:
            return

    @property
    def has_all_shards(self) -> bool:
        """Whether each is there, damaged or not."""
        return len(list(self.folder.glob("shard-*.rows"))) == self.num_shards

    def _is_whole(self, shard: int, check: Callable[[], None]) -> bool:
        check()
        try:
            for _ in self._open(shard).read(self.rows_of(shard)):
                pass
        except DamagedShard:
            return False
        return True

    def _open(self, shard: int) -> Shard:
        numbers = self.rows_of(shard)
        return shards.open_shard(self._path(shard), self.key, numbers.start, len(numbers), self.codec)

    def _path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:06d}.rows"


def create(folder: Path, key: str, row_format: RowFormat, num_rows: int, codec: Codec) -> Entry:
    """Makes an entry without rows."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {**_head(key, num_rows), "codec": codec}
    temporary = folder / f"{shards.TEMPORARY}{_MANIFEST}"
    temporary.write_text(json.dumps(manifest), encoding="utf-8")
    flush(temporary)
    temporary.replace(folder / _MANIFEST)
    return Entry(folder, key, row_format, num_rows, codec)


def find(folder: Path, key: str, row_format: RowFormat, num_rows: int) -> Entry | None:
    """An entry that is there, complete or not; None where there is none that can be read."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest != {**_head(key, num_rows), "codec": manifest.get("codec")}:
        return None
    if manifest["codec"] not in ("none", "deflate"):
        return None
    return Entry(folder, key, row_format, num_rows, cast(Codec, manifest["codec"]))


def last_use(folder: Path) -> float:
    """When an entry was used last, in seconds since 1970; 0 where it cannot be told."""
    try:
        return (folder / _MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def num_bytes_of(folder: Path) -> int:
    """What an entry takes, complete or not; 0 where it is gone."""
    total = 0
    with contextlib.suppress(FileNotFoundError):  # others may be at it
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


def most_bytes(row_format: RowFormat, num_rows: int) -> int:
    """What an entry takes at most: rows that are not compressed, their tables, and the manifest."""
    num_shards = -(-num_rows // _rows_per_shard(row_format))
    tables = num_rows * shards.TABLE_BYTES_PER_ROW + num_shards * shards.FOOTER_BYTES
    return num_rows * row_format.num_bytes + tables + _MOST_BYTES_OF_MANIFEST


def _rows_per_shard(row_format: RowFormat) -> int:
    most = max(1, min(_MAX_ROWS_PER_SHARD, _MAX_SHARD_BYTES // max(row_format.num_bytes, 1)))
    return 1 << (most.bit_length() - 1)


def _head(key: str, num_rows: int) -> dict[str, str | int]:
    return {"format": _FORMAT, "key": key, "num_rows": num_rows}
