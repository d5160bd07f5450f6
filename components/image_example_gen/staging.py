"""Beam, first pass: reads and checks every photograph once, and writes its example to a staging folder.

Which split an example goes to is decided when all are known (`splitting`); the second pass (`distributing`) then only
copies. Nothing but the names of photographs travels through Beam, so memory does not grow with their bytes, and the
same photographs give the same bytes however many workers there are.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import asdict, dataclass

import apache_beam as beam
import tensorflow as tf

from components.image_example_gen.checking import CheckedPhotograph, check_photograph
from components.image_example_gen.duplicates.signature import Signature, signature_of
from components.image_example_gen.example import make_example
from components.image_example_gen.facts import Facts
from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Entry, Photograph, Rejected, Source
from components.whole_files import partial_of, put_in_place, read_whole, write_whole
from trainer.progress import Tally

NUM_ENTRIES_PER_CHUNK = 512
# How many photographs are in memory at a time.
_NUM_AT_ONCE = 32


@dataclass(frozen=True)
class Chunk:
    """Entries that one worker reads, and the number of the chunk among all."""

    index: int
    num_chunks: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class StagedChunk:
    """What came of a chunk; its examples lie in `records_file`, in the order of `accepted`."""

    index: int
    num_chunks: int
    accepted: tuple[Facts, ...]
    refused: tuple[Rejected, ...]


def chunks_of(entries: Sequence[Entry]) -> list[Chunk]:
    """Cuts a listing, in its order, into chunks."""
    starts = range(0, len(entries), NUM_ENTRIES_PER_CHUNK)
    groups = [tuple(entries[start : start + NUM_ENTRIES_PER_CHUNK]) for start in starts]
    return [Chunk(index, len(groups), group) for index, group in enumerate(groups)]


def records_file(folder: str, index: int) -> str:
    """The staged examples of a chunk: TFRecords."""
    return os.path.join(folder, f"{index:05d}.records")


def read_staged(folder: str, num_chunks: int) -> list[StagedChunk]:
    """What `StagePhotographs` left in its folder, in the order of the chunks."""
    return [_read(_facts_file(folder, index)) for index in range(num_chunks)]


@dataclass
class StagePhotographs(beam.PTransform):
    """PCollection[Chunk] to PCollection[int], the indices of the chunks; all else is written to the folder.

    Attributes:
        source: reads the entries.
        settings: what is accepted.
        folder: exists; see `records_file` and `read_staged`.
        num_entries: in all chunks, for progress.
    """

    source: Source
    settings: IngestionSettings
    folder: str
    num_entries: int

    def expand(self, chunks: beam.PCollection) -> beam.PCollection:
        return chunks | "Spread" >> beam.Reshuffle() | "Stage" >> beam.ParDo(_StageChunk(self))


class _StageChunk(beam.DoFn):
    # One tally for the bundles that run in this process; Beam makes several copies of a DoFn.
    _tallies: dict[str, Tally] = {}

    def __init__(self, settings: StagePhotographs) -> None:
        super().__init__()
        self._settings = settings

    def process(self, chunk: Chunk) -> Iterable[int]:
        tally = self._tallies.setdefault(self._settings.folder, Tally(self._settings.num_entries, "images"))
        stage_chunk(chunk, self._settings, tally)
        yield chunk.index


def stage_chunk(chunk: Chunk, settings: StagePhotographs, tally: Tally) -> None:
    """Reads, checks and writes the photographs of one chunk.

    The facts are written last: a chunk that has them is whole.
    """
    records = records_file(settings.folder, chunk.index)
    partial = partial_of(records)
    accepted: list[Facts] = []
    refused: list[Rejected] = []
    threads = ThreadPoolExecutor((os.cpu_count() or 1) + 1)
    try:
        with tf.io.TFRecordWriter(partial) as writer:
            for entry, result in _in_order(chunk.entries, settings, threads):
                if isinstance(result, Refusal):
                    refused.append(Rejected(entry.path, entry.label or "", result.reason, result.detail))
                else:
                    facts, example = result
                    accepted.append(facts)
                    writer.write(example)
                tally.advance(1)
    finally:
        # Not waited for: a decoder that took too long would hold everything up a second time.
        threads.shutdown(wait=False, cancel_futures=True)
    put_in_place(partial, records)
    _write(
        StagedChunk(chunk.index, chunk.num_chunks, tuple(accepted), tuple(refused)),
        _facts_file(settings.folder, chunk.index),
    )


Result = tuple[Facts, bytes] | Refusal


def _in_order(
    entries: Sequence[Entry], settings: StagePhotographs, threads: ThreadPoolExecutor
) -> Iterator[tuple[Entry, Result]]:
    """Yields the entries in their order, each read and checked; at most `_NUM_AT_ONCE` are held."""
    waiting: deque[tuple[Entry, Future[Result]]] = deque()
    for entry in entries:
        if len(waiting) == _NUM_AT_ONCE:
            yield _awaited(*waiting.popleft(), settings)
        waiting.append((entry, threads.submit(_stage, entry, settings)))
    for entry, future in waiting:
        yield _awaited(entry, future, settings)


def _awaited(entry: Entry, future: Future[Result], settings: StagePhotographs) -> tuple[Entry, Result]:
    limit_s = settings.settings.max_image_seconds
    try:
        return entry, future.result(timeout=limit_s)
    except FutureTimeoutError:
        return entry, Refusal(Reason.TOOK_TOO_LONG, f"more than the {limit_s:g} s allowed")


def _stage(entry: Entry, settings: StagePhotographs) -> Result:
    """One entry as its facts and its example, or why it is refused."""
    try:
        photograph = settings.source.read(entry, settings.settings.max_image_bytes)
        label = _known_label(photograph.entry, settings.settings)
        checked = check_photograph(photograph.content, settings.settings)
    except Refusal as refusal:
        return refusal
    facts = _facts(photograph, label, checked, settings.settings)
    return facts, make_example(photograph.entry, facts, checked.content)


def _known_label(entry: Entry, settings: IngestionSettings) -> str:
    if not entry.label:
        raise Refusal(Reason.NO_LABEL, "it has no class")
    if settings.labels is not None and entry.label not in settings.labels:
        raise Refusal(Reason.UNKNOWN_LABEL, f"{entry.label!r} is not in data.labels")
    return entry.label


def _facts(photograph: Photograph, label: str, checked: CheckedPhotograph, settings: IngestionSettings) -> Facts:
    entry, header = photograph.entry, checked.header
    return Facts(
        path=entry.path,
        label=label,
        split=entry.split,
        group=entry.group,
        content_sha256=hashlib.sha256(photograph.content).hexdigest(),
        format=header.format,
        is_normalised=checked.is_normalised,
        width_px=header.width_px,
        height_px=header.height_px,
        num_bytes=len(photograph.content),
        signature=None if settings.near_duplicates == "ignore" else _signature(checked),
    )


def _signature(checked: CheckedPhotograph) -> Signature:
    header = checked.header
    size_px = (header.height_px, header.width_px)
    return signature_of(checked.small_pixels, size_px[::-1] if header.orientation >= 5 else size_px)


def _facts_file(folder: str, index: int) -> str:
    return os.path.join(folder, f"{index:05d}.json")


def _write(chunk: StagedChunk, path: str) -> None:
    # In one piece: `json.dump`, into a file, is written in Python and takes five times as long.
    text = json.dumps(asdict(chunk), default=bytes.hex, ensure_ascii=False)
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def _read(path: str) -> StagedChunk:
    content = json.loads(read_whole(path).decode("utf-8", "surrogateescape"))
    return StagedChunk(
        content["index"],
        content["num_chunks"],
        tuple(Facts(**{**item, "signature": _read_signature(item["signature"])}) for item in content["accepted"]),
        tuple(Rejected(**{**item, "reason": Reason(item["reason"])}) for item in content["refused"]),
    )


def _read_signature(item: dict[str, object] | None) -> Signature | None:
    return None if item is None else Signature(**{**item, "thumbnail": bytes.fromhex(str(item["thumbnail"]))})  # type: ignore[arg-type]
