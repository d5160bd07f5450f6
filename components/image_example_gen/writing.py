"""Beam: from chunks of files to TFRecords of examples, one file per chunk and split.

Only the names of files travel through Beam; the bytes go from the source straight into the record file of their chunk.
So memory does not grow with the data, and the same files give the same bytes however many workers there are.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import tensorflow as tf

from components.image_example_gen.checking import ImageFacts, Reason, Refusal, check
from components.image_example_gen.quarantine import Account, Refused
from components.image_example_gen.source import ImageFile
from components.image_example_gen.splitting import SplitShare, split_of
from trainer.features import IMAGE, LABEL
from trainer.progress import Tally

NUM_FILES_PER_CHUNK = 512
# How many files are in memory at a time.
_NUM_FILES_AT_ONCE = 32


@dataclass(frozen=True)
class Chunk:
    """Files that one worker reads, and the number of the chunk among all."""

    index: int
    num_chunks: int
    files: tuple[ImageFile, ...]


def chunks_of(files: Sequence[ImageFile]) -> list[Chunk]:
    """Cuts the listing, in its order, into chunks."""
    groups = [tuple(files[start : start + NUM_FILES_PER_CHUNK]) for start in range(0, len(files), NUM_FILES_PER_CHUNK)]
    return [Chunk(index, len(groups), group) for index, group in enumerate(groups)]


@dataclass
class WriteExamples(beam.PTransform):
    """PCollection[Chunk] to PCollection[Account]; the examples are written on the way.

    Attributes:
        images: folder that the files' paths are relative to.
        split_folders: where the examples of each split go.
        shares: the splits by content hash, or None to keep each file in its input split.
        max_pixels: the most pixels that an image may have.
        num_files: number of files in all chunks, for progress.
    """

    images: str
    split_folders: dict[str, str]
    shares: tuple[SplitShare, ...] | None
    max_pixels: int
    num_files: int

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        return chunks | "Spread" >> beam.Reshuffle() | "Write" >> beam.ParDo(_WriteChunk(self))


class _WriteChunk(beam.DoFn):
    # One tally for the bundles that run in this process; Beam makes several copies of a DoFn.
    _tallies: dict[str, Tally] = {}

    def __init__(self, settings: WriteExamples) -> None:
        super().__init__()
        self._settings = settings

    def process(self, chunk: Chunk) -> Iterable[Account]:
        key = next(iter(self._settings.split_folders.values()))
        tally = self._tallies.setdefault(key, Tally(self._settings.num_files, "images"))
        yield write_chunk(chunk, self._settings, tally)


def write_chunk(chunk: Chunk, settings: WriteExamples, tally: Tally) -> Account:
    """Reads, checks and writes the files of one chunk.

    Each record file is written under a temporary name and renamed when it is whole, so a retried chunk leaves no half.
    """
    account = Account()
    with _RecordFiles(chunk, settings.split_folders) as record_files, ThreadPoolExecutor() as threads:
        for file, result in _read_ahead(chunk.files, settings, threads):
            if isinstance(result, Refusal):
                account.refused.append(Refused(file.path, file.label, result.reason.value, result.detail))
            else:
                split, serialized = result
                record_files.write(split, serialized)
                account.accepted[split, file.label] += 1
            tally.advance(1)
    return account


def _read_ahead(
    files: Sequence[ImageFile], settings: WriteExamples, threads: ThreadPoolExecutor
) -> Iterator[tuple[ImageFile, tuple[str, bytes] | Refusal]]:
    """Yields the files in their order, each read; at most `_NUM_FILES_AT_ONCE` are held."""
    waiting: deque[tuple[ImageFile, Future[tuple[str, bytes] | Refusal]]] = deque()
    for file in files:
        if len(waiting) == _NUM_FILES_AT_ONCE:
            first, result = waiting.popleft()
            yield first, result.result()
        waiting.append((file, threads.submit(_read, file, settings)))
    for first, result in waiting:
        yield first, result.result()


def _read(file: ImageFile, settings: WriteExamples) -> tuple[str, bytes] | Refusal:
    """One file as (split, serialized example), or why it is refused."""
    path = Path(settings.images) / file.path
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited on for ever
            return Refusal(Reason.UNREADABLE, "not a regular file")
        content = path.read_bytes()
        facts = check(content, settings.max_pixels)
    except OSError as error:
        return Refusal(Reason.UNREADABLE, error.strerror or str(error))
    except Refusal as refusal:
        return refusal
    digest = hashlib.sha256(content).digest()
    split = split_of(digest, settings.shares) if settings.shares else file.input_split
    return split, make_example(file, content, facts, digest).SerializeToString(deterministic=True)


def make_example(file: ImageFile, content: bytes, facts: ImageFacts, digest: bytes) -> tf.train.Example:
    """The record of one image; its features are listed in the README of this package."""

    def text(value: str) -> tf.train.Feature:
        return _bytes(value.encode(errors="surrogateescape"))

    def number(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        IMAGE: _bytes(content),
        LABEL: text(file.label),
        "path": text(file.path),
        "content_sha256": text(digest.hex()),
        "format": text(facts.format),
        "width_px": number(facts.width_px),
        "height_px": number(facts.height_px),
        "num_bytes": number(len(content)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


class _RecordFiles:
    """The record files of one chunk, one per split, opened when the first example of the split comes."""

    def __init__(self, chunk: Chunk, split_folders: dict[str, str]) -> None:
        self._name = f"images-{chunk.index:05d}-of-{chunk.num_chunks:05d}"
        self._folders = split_folders
        self._writers: dict[str, tf.io.TFRecordWriter] = {}

    def write(self, split: str, serialized: bytes) -> None:
        if split not in self._writers:
            folder = self._folders[split]
            tf.io.gfile.makedirs(folder)
            self._writers[split] = tf.io.TFRecordWriter(self._temporary(folder))
        self._writers[split].write(serialized)

    def _temporary(self, folder: str) -> str:
        # Beside the split's folder, not in it: a reader's pattern `*` must never match a half-written file.
        return f"{folder}.{self._name}.partial"

    def __enter__(self) -> "_RecordFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for split, writer in self._writers.items():
            writer.close()
            folder = self._folders[split]
            if kind is None:
                tf.io.gfile.rename(self._temporary(folder), os.path.join(folder, self._name), overwrite=True)
            else:
                tf.io.gfile.remove(self._temporary(folder))
