"""Beam: the search for pairs, spread over workers."""

import pickle
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from components.image_example_gen.duplicates.pairs import (
    Looks,
    Pair,
    Row,
    Unchecked,
    candidates_of,
    distinct,
    looks_of,
    rows_of,
    verified,
)
from components.image_example_gen.duplicates.signature import Signature

PAIRS, UNCHECKED, NUM_PLAIN = "pairs", "unchecked", "num_plain"

_NUM_SHARDS = 64
_NUM_PER_BATCH = 16384
_PRIME = 2**61 - 1

Item = tuple[str, Signature]


class FindPairs(beam.PTransform):
    """PCollection[tuple[path, Signature]] to the pairs that look the same, and what was left out of the search.

    An element may also be a batch, `packed` of a list of such tuples; it has to be where a path is no UTF-8, for Beam's
    coders refuse that. Paths must be distinct. The result is that of `pairs.find_pairs`, whatever the order of the
    photographs and the number of workers; only the order of the elements is not fixed. Between the stages elements
    travel in batches: Beam's own work per element would take longer than ours.

    Returns:
        A dictionary of `"pairs"`, PCollection[Pair]; `"unchecked"`, PCollection[Unchecked]; `"num_plain"`,
        PCollection[int] of one element.
    """

    def expand(self, signatures: beam.PCollection) -> Any:  # Beam warns of a dictionary as a type hint
        batches = signatures | "By hash" >> _InShards(_by_hash)
        looks = batches | "Sort looks" >> beam.Map(_sorted)
        found = looks | "By bucket" >> _InShards(_by_bucket) | "Candidates" >> beam.Map(_candidates)
        wanted = (
            found
            | "Whose" >> beam.Map(lambda result: packed(_paths_of(_near(result))))
            | "Wanted" >> beam.CombineGlobally(_union)
        )
        shown = looks | "Shown" >> beam.Map(_wanted_of, beam.pvalue.AsSingleton(wanted))
        pairs = (
            looks | "Followers" >> beam.FlatMap(lambda result: _looks(result).pairs),
            found | "Verify" >> beam.FlatMap(_verified, beam.pvalue.AsIter(shown)),
        )
        unchecked = (
            looks | "Unchecked looks" >> beam.FlatMap(lambda result: _looks(result).unchecked),
            found | "Unchecked buckets" >> beam.FlatMap(_left_out),
        )
        num_plain = looks | "Plain" >> beam.Map(lambda result: _looks(result).num_plain)
        return {
            PAIRS: pairs | "Pairs" >> beam.Flatten() | "By first" >> _InShards(_by_first) | beam.FlatMap(_distinct),
            UNCHECKED: unchecked
            | "Unchecked" >> beam.Flatten()
            | "All" >> _InShards(_all_together)
            | beam.FlatMap(_each_once),
            NUM_PLAIN: num_plain | "Number of plain ones" >> beam.CombineGlobally(sum),
        }


class _InShards(beam.PTransform):
    """Brings together what belongs together: elements to one batch per shard."""

    def __init__(self, shards_of: Callable[[Any], Iterable[tuple[int, Any]]]) -> None:
        super().__init__()
        self._shards_of = shards_of

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        return (
            elements
            | "Batch" >> beam.ParDo(_MakeBatches(self._shards_of))
            | "Gather" >> beam.GroupByKey()
            | "Join" >> beam.Map(_joined)
        )


class _MakeBatches(beam.DoFn):
    """Elements to (shard, batch of what `shards_of` makes of them): few, but none too large for memory."""

    def __init__(self, shards_of: Callable[[Any], Iterable[tuple[int, Any]]]) -> None:
        super().__init__()
        self._shards_of = shards_of

    def start_bundle(self) -> None:
        self._shards: dict[int, list[Any]] = defaultdict(list)
        self._num_held = 0

    def process(self, element: Any) -> Iterable[tuple[int, bytes]]:
        for shard, item in self._shards_of(element):
            self._shards[shard % _NUM_SHARDS].append(item)
            self._num_held += 1
        if self._num_held >= _NUM_PER_BATCH:
            yield from self._taken()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for element in self._taken():
            yield WindowedValue(element, window.max_timestamp(), [window])

    def _taken(self) -> list[tuple[int, bytes]]:
        taken = [(shard, packed(items)) for shard, items in self._shards.items()]
        self.start_bundle()
        return taken


def _joined(shard: tuple[int, Iterable[bytes]]) -> bytes:
    return packed(list(chain.from_iterable(map(_unpacked, shard[1]))))


def packed(items: Any) -> bytes:
    """A batch of (path, signature), or of anything of ours, that Beam's coders take as it is."""
    return pickle.dumps(items, protocol=5)


def _unpacked(batch: bytes) -> Any:
    return pickle.loads(batch)


def _by_hash(element: bytes | Item) -> Iterator[tuple[int, Item]]:
    for item in _unpacked(element) if isinstance(element, bytes) else [element]:
        yield item[1].hash % _PRIME, item  # the last bits alone are uneven


def _by_bucket(result: bytes) -> Iterator[tuple[int, Row]]:
    for path, signature in _leaders(result).items():
        for row in rows_of(path, signature):
            yield row.bucket, row


def _by_first(pair: Pair) -> Iterator[tuple[int, Pair]]:
    yield zlib.crc32(pair.first.encode(errors="surrogateescape")), pair


def _all_together(element: Any) -> Iterator[tuple[int, Any]]:
    yield 0, element


def _sorted(batch: bytes) -> bytes:
    """The looks of one shard, and its leaders with their signatures."""
    signatures: dict[str, Signature] = dict(_unpacked(batch))
    looks = looks_of(signatures)
    return packed((looks, {path: signatures[path] for path in looks.leaders}))


def _looks(result: bytes) -> Looks:
    looks: Looks = _unpacked(result)[0]
    return looks


def _leaders(result: bytes) -> dict[str, Signature]:
    leaders: dict[str, Signature] = _unpacked(result)[1]
    return leaders


def _candidates(batch: bytes) -> bytes:
    """The candidates of one shard, and what was left out."""
    return packed(candidates_of(_unpacked(batch)))


def _near(result: bytes) -> list[Pair]:
    pairs: list[Pair] = _unpacked(result)[0]
    return pairs


def _left_out(result: bytes) -> list[Unchecked]:
    unchecked: list[Unchecked] = _unpacked(result)[1]
    return unchecked


def _paths_of(pairs: Iterable[Pair]) -> set[str]:
    return {path for pair in pairs for path in (pair.first, pair.second)}


def _union(batches: Iterable[bytes]) -> bytes:
    return packed({path for batch in batches for path in _unpacked(batch)})


def _wanted_of(result: bytes, wanted: bytes) -> bytes:
    paths = _unpacked(wanted)
    return packed({path: signature for path, signature in _leaders(result).items() if path in paths})


def _verified(result: bytes, shown: Iterable[bytes]) -> list[Pair]:
    wanted = _paths_of(_near(result))
    leaders = chain.from_iterable(_unpacked(batch).items() for batch in shown)
    return verified(_near(result), {path: signature for path, signature in leaders if path in wanted})


def _distinct(batch: bytes) -> list[Pair]:
    return distinct(_unpacked(batch))


def _each_once(batch: bytes) -> set[Unchecked]:
    return set(_unpacked(batch))
