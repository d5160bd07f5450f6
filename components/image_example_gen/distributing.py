"""Beam, second pass: copies staged examples to the record files of their splits, one file per chunk and split."""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import apache_beam as beam
import tensorflow as tf

from components.image_example_gen.staging import records_file
from components.whole_files import partial_of, put_in_place

# A TFRecord is the length of its data (8 bytes), a checksum of that (4), the data, and a checksum of it (4).
_LENGTH = struct.Struct("<Q")
_NUM_BYTES_BEFORE, _NUM_BYTES_AFTER = 12, 4


@dataclass(frozen=True)
class ChunkSplits:
    """Where the examples of a staged chunk go: the name of a split for each, in their order."""

    index: int
    num_chunks: int
    splits: tuple[str, ...]


@dataclass
class Distribute(beam.PTransform):
    """PCollection[ChunkSplits] to PCollection[int], the indices of the chunks.

    Attributes:
        staging_folder: see `staging.records_file`.
        split_folders: where the record files of each split go.
    """

    staging_folder: str
    split_folders: dict[str, str]

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        return (
            chunks
            | "Spread" >> beam.Reshuffle()
            | "Copy" >> beam.Map(distribute_chunk, self.staging_folder, self.split_folders)
        )


def distribute_chunk(chunk: ChunkSplits, staging_folder: str, split_folders: dict[str, str]) -> int:
    """Copies one chunk, record by record, checksums included.

    Each record file is written under a temporary name and renamed when it is whole, so a retried chunk leaves no half.
    """
    name = f"images-{chunk.index:05d}-of-{chunk.num_chunks:05d}"
    paths = {split: os.path.join(split_folders[split], name) for split in sorted(set(chunk.splits))}
    partial = {split: partial_of(path) for split, path in paths.items()}
    with ExitStack() as files:
        staged = files.enter_context(tf.io.gfile.GFile(records_file(staging_folder, chunk.index), "rb"))
        targets = {split: files.enter_context(tf.io.gfile.GFile(path, "wb")) for split, path in partial.items()}
        for split, record in zip(chunk.splits, read_records(staged), strict=True):
            targets[split].write(record)
    for split, path in paths.items():
        put_in_place(partial[split], path)
    return chunk.index


def read_records(file: tf.io.gfile.GFile) -> Iterator[bytes]:
    """Yields whole TFRecords, lengths and checksums included, of a file that we wrote ourselves."""
    while before := file.read(_NUM_BYTES_BEFORE):
        (num_bytes,) = _LENGTH.unpack(before[: _LENGTH.size])
        yield before + file.read(num_bytes + _NUM_BYTES_AFTER)


def data_of(record: bytes) -> bytes:
    """The data of one record of `read_records`."""
    return record[_NUM_BYTES_BEFORE:-_NUM_BYTES_AFTER]


def some_examples(staging_folder: str, index: int, positions: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Yields (position, serialized example) of those examples of a chunk."""
    wanted = set(positions)
    with tf.io.gfile.GFile(records_file(staging_folder, index), "rb") as file:
        yield from (
            (position, data_of(record)) for position, record in enumerate(read_records(file)) if position in wanted
        )
