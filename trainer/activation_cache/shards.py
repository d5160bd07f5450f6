"""Files of rows, each with a checksum: written whole or not at all, verified at every reading.

A shard is the rows one after the other, the places where they end (uint64), their checksums (uint32), and a footer. A
checksum is begun with the name of what the rows belong to and with the row's number, so that a row in the wrong place
is as wrong as a damaged one.
"""

import contextlib
import os
import struct
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainer.activation_cache.rows import Array, Codec, decode, encode
from trainer.files import flush

_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"thawrow1"
TABLE_BYTES_PER_ROW, FOOTER_BYTES = 12, _FOOTER.size
TEMPORARY = ".being-written-"


class DamagedShard(Exception):
    """A shard is not what was written.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is damaged: {why}")
        self.path = path


@dataclass(frozen=True)
class Shard:
    """A shard that has been opened: its table; the rows stay on the disk.

    Attributes:
        path: of the file.
        owner: what the rows belong to.
        first_row: number of its first row.
        codec: of the rows.
        ends: uint64 [num_rows], where in the file each row ends.
        checksums: uint32 [num_rows].
    """

    path: Path
    owner: str
    first_row: int
    codec: Codec
    ends: Array
    checksums: Array

    def read(self, numbers: Sequence[int]) -> Iterator[bytes]:
        """Rows by their numbers, verified.

        Raises:
            DamagedShard: a row is not what was written, or the file is gone.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                for number in numbers:
                    yield self._row(file.fileno(), number)
        except OSError as error:
            raise DamagedShard(self.path, str(error)) from error

    def _row(self, descriptor: int, number: int) -> bytes:
        index = number - self.first_row
        start = int(self.ends[index - 1]) if index else 0
        stored = os.pread(descriptor, int(self.ends[index]) - start, start)
        if zlib.crc32(stored, _seed(self.owner, number)) != self.checksums[index]:
            raise DamagedShard(self.path, f"row {number} has not the checksum that it was written with")
        return decode(stored, self.codec)


def write(path: Path, owner: str, first_row: int, codec: Codec, rows: Sequence[bytes]) -> None:
    """Writes a shard; who finds it under its name finds it complete and on the disk.

    Raises:
        OSError: the disk is full, for instance; nothing is left behind.
    """
    stored = [encode(row, codec) for row in rows]
    ends = np.cumsum([len(row) for row in stored], dtype=np.uint64)
    seeds = (_seed(owner, first_row + index) for index in range(len(rows)))
    checksums = np.array([zlib.crc32(row, seed) for row, seed in zip(stored, seeds, strict=True)], np.uint32)
    table = ends.tobytes() + checksums.tobytes()
    footer = _FOOTER.pack(_MAGIC, len(rows), zlib.crc32(table, _seed(owner, first_row)))
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.writelines([*stored, table, footer])
        flush(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def open_shard(path: Path, owner: str, first_row: int, num_rows: int, codec: Codec) -> Shard:
    """Reads a shard's table.

    Raises:
        DamagedShard: it is not one of that many rows of that owner, or it is gone.
    """
    table_size = TABLE_BYTES_PER_ROW * num_rows
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - table_size - _FOOTER.size, 0))
            tail = file.read()
    except OSError as error:
        raise DamagedShard(path, str(error)) from error
    if len(tail) != table_size + _FOOTER.size:
        raise DamagedShard(path, "it is too short")
    table = tail[:table_size]
    if tail[table_size:] != _FOOTER.pack(_MAGIC, num_rows, zlib.crc32(table, _seed(owner, first_row))):
        raise DamagedShard(path, "its table is not the one that was written")
    ends = np.frombuffer(table, np.uint64, num_rows)
    return Shard(path, owner, first_row, codec, ends, np.frombuffer(table, np.uint32, num_rows, 8 * num_rows))


def _seed(owner: str, number: int) -> int:
    return zlib.crc32(f"{owner}/{number}".encode())
