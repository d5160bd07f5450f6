"""Pairs of photographs that look the same, found without comparing each with each.

Hashes that differ in at most 7 of their 64 bits agree in at least one of their 8 bytes (pigeonhole principle;
M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012). So only
photographs that share a byte at the same place, a bucket, are compared, and **every** pair within 7 bits is met.
A pair is kept if the thumbnails agree, too; the more the hashes differ, the better they must.

Photographs that show no more than a colour, a gradient or fine noise cannot be told from each other by such means. They
are paired only if their thumbnails are equal, and counted.

Much that looks alike would still be quadratic: ten thousand white pages, a camera that never moves. Three bounds hold
that off, each with the same result whatever the order of the photographs, and each reported as `Unchecked`:

- Photographs with *equal* hashes are compared with the first (by path) of each look among them, of at most 64 looks,
  and paired with that one only, which connects them all.
- In a bucket of more than 8,192 hashes each is compared with the 8,192 that follow in the order of the hashes.
- Of more than 256 similar ones in a bucket, a photograph is compared with the 256 nearest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.image_example_gen.duplicates.signature import Signature
from components.image_example_gen.duplicates.thumbnails import are_plain, correlations, details_of

_Item = TypeVar("_Item")

MAX_DISTANCE = 7
NUM_BANDS = MAX_DISTANCE + 1
NUM_VALUES = 256

# Found on the handwritten digits and on crops of photographs: benchmarks/duplicates.py, with another seed.
_MIN_CORRELATIONS = np.array([0.93, 0.94, 0.95, 0.98, 0.99, 0.99, 0.99, 0.99], np.float32)  # by distance

MAX_LOOKS = 64
MAX_COMPARED = 8192
MAX_PARTNERS = 256
_BLOCK = 512


class Pair(NamedTuple):
    """Two photographs that look the same.

    Attributes:
        first: path of the one that comes first in the order of the paths.
        second: path of the other.
        is_mirrored: whether they do so only after one is mirrored left to right.
        distance: number of bits in which their hashes differ, 0 to 7.
    """

    first: str
    second: str
    is_mirrored: bool
    distance: int


@dataclass(frozen=True, order=True)
class Unchecked:
    """Comparisons that were left out, because too many photographs look alike.

    Attributes:
        example: path of one of them, the first.
        num_photographs: how many look alike.
        num_comparisons: how many comparisons were left out.
    """

    example: str
    num_photographs: int
    num_comparisons: int


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        pairs: in order, each two photographs once. Photographs that look alike are connected by pairs, not all paired.
        unchecked: in order; empty unless very many photographs look alike.
        num_plain: photographs that show too little to be compared; they are paired only where thumbnails are equal.
    """

    pairs: tuple[Pair, ...]
    unchecked: tuple[Unchecked, ...]
    num_plain: int


@dataclass(frozen=True)
class Looks:
    """Photographs sorted by hash and look.

    Attributes:
        leaders: paths of those that stand for all with the same hash and look; none of the plain ones.
        pairs: the others, each with its leader; and the plain ones that are equal.
        unchecked: as in `Found`.
        num_plain: as in `Found`.
    """

    leaders: tuple[str, ...]
    pairs: tuple[Pair, ...]
    unchecked: tuple[Unchecked, ...]
    num_plain: int


class Row(NamedTuple):
    """A hash in a bucket: the photograph's own, or that of its mirror image.

    Attributes:
        bucket: 256 times the place of the byte, 0 to 7, plus the byte.
    """

    bucket: int
    hash: int
    path: str
    is_mirrored: bool


def find_pairs(signatures: Mapping[str, Signature]) -> Found:
    """All pairs among photographs that fit into memory; `FindPairs` does the same in Beam.

    Args:
        signatures: by path.
    """
    looks = looks_of(signatures)
    leaders = {path: signatures[path] for path in looks.leaders}
    candidates, left_out = candidates_of(row for path in leaders for row in rows_of(path, leaders[path]))
    pairs = distinct([*looks.pairs, *verified(candidates, leaders)])
    return Found(tuple(pairs), tuple(sorted({*looks.unchecked, *left_out})), looks.num_plain)


def looks_of(signatures: Mapping[str, Signature]) -> Looks:
    """Sorts photographs by hash, and those of one hash by how they look.

    Args:
        signatures: by path; all with the same hash must be in one call.
    """
    paths = sorted(signatures)
    plain = _plain_ones(paths, signatures)
    pairs = _equal_thumbnails([path for path in paths if path in plain], signatures)
    leaders: list[str] = []
    unchecked: list[Unchecked] = []
    by_hash: dict[int, list[str]] = defaultdict(list)
    for path in paths:
        if path not in plain:
            by_hash[signatures[path].hash].append(path)
    for members in by_hash.values():
        firsts, followers, num_left_out = _one_of_each_look(members, signatures)
        leaders += firsts
        pairs += followers
        if num_left_out:
            unchecked.append(Unchecked(members[0], len(members), num_left_out))
    return Looks(tuple(leaders), tuple(pairs), tuple(unchecked), len(plain))


def _plain_ones(paths: Sequence[str], signatures: Mapping[str, Signature]) -> set[str]:
    plain: set[str] = set()
    for some in _blocks(paths):
        flags = are_plain(details_of([signatures[path] for path in some]))
        plain.update(path for path, is_plain in zip(some, flags, strict=True) if is_plain)
    return plain


def _equal_thumbnails(paths: Sequence[str], signatures: Mapping[str, Signature]) -> list[Pair]:
    first: dict[bytes, str] = {}
    owners = [(path, first.setdefault(signatures[path].thumbnail, path)) for path in paths]
    return [
        Pair(owner, path, False, (signatures[owner].hash ^ signatures[path].hash).bit_count())
        for path, owner in owners
        if owner != path
    ]


def _one_of_each_look(members: Sequence[str], signatures: Mapping[str, Signature]) -> tuple[list[str], list[Pair], int]:
    """The first of each look, the others paired with it, and how many comparisons were left out."""
    if len(members) == 1:
        return list(members), [], 0
    leaders: list[str] = []
    shown = np.empty((0, *details_of([signatures[members[0]]]).shape[1:]), np.float32)
    pairs: list[Pair] = []
    num_left_out = 0
    for path in members:
        detail = details_of([signatures[path]])
        same = correlations(shown, detail) >= _MIN_CORRELATIONS[0]
        if same.any():
            pairs.append(Pair(leaders[int(np.argmax(same))], path, False, 0))
            continue
        num_left_out += max(0, len(leaders) - MAX_LOOKS)
        leaders.append(path)
        shown = np.concatenate([shown, detail])[:MAX_LOOKS]
    return leaders, pairs, num_left_out


def rows_of(path: str, signature: Signature) -> Iterator[Row]:
    """A row for each byte of the hash, and of that of the mirror image."""
    for value, is_mirrored in ((signature.hash, False), (signature.mirrored_hash, True)):
        for place, byte in enumerate(value.to_bytes(NUM_BANDS, "big")):
            yield Row(NUM_VALUES * place + byte, value, path, is_mirrored)


def candidates_of(rows: Iterable[Row]) -> tuple[list[Pair], list[Unchecked]]:
    """The pairs whose hashes differ in at most 7 bits, in any of the buckets.

    Args:
        rows: of any buckets, in any order, but all rows of each of them.

    Returns:
        Distinct candidates in order, and what was left out.
    """
    buckets: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        buckets[row.bucket].append(row)
    found = [_candidates_in(rows) for rows in buckets.values()]
    candidates = {pair for pairs, _ in found for pair in pairs}
    return sorted(candidates), [item for _, left_out in found for item in left_out]


def _candidates_in(rows: Sequence[Row]) -> tuple[list[Pair], list[Unchecked]]:
    """The pairs in one bucket."""
    ordered = sorted(rows)
    hashes = np.array([row.hash for row in ordered], np.uint64)
    mirrored = np.array([row.is_mirrored for row in ordered])
    # Two mirror images are as far apart as the two themselves.
    pairs: list[Pair] = []
    num_left_out = _num_beyond(len(ordered), MAX_COMPARED)
    for start in range(0, len(ordered), _BLOCK):
        some = slice(start, start + _BLOCK)
        others = slice(start + 1, start + _BLOCK + MAX_COMPARED)
        distances = np.bitwise_count(hashes[some, None] ^ hashes[None, others])
        ahead = np.arange(distances.shape[1])[None] - np.arange(distances.shape[0])[:, None]
        near = (distances <= MAX_DISTANCE) & (ahead >= 0) & (ahead < MAX_COMPARED)
        near &= ~(mirrored[some, None] & mirrored[None, others])
        for index, partners, num_dropped in _nearest(near, distances):
            num_left_out += num_dropped
            row = ordered[start + index]
            pairs += [
                _pair(row, ordered[start + 1 + partner], int(distances[index, partner]))
                for partner in partners
                if ordered[start + 1 + partner].path != row.path
            ]
    unchecked = [Unchecked(min(row.path for row in ordered), len(ordered), num_left_out)] if num_left_out else []
    return pairs, unchecked


def _num_beyond(num_rows: int, reach: int) -> int:
    """How many of the pairs among rows are further apart than `reach` places."""
    rest = max(0, num_rows - 1 - reach)
    return rest * (rest + 1) // 2


def _nearest(near: NDArray[np.bool_], distances: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.intp], int]]:
    """Yields (row, its nearest partners, how many more there were) for each row that has any."""
    for index in np.flatnonzero(near.any(axis=1)):
        partners = np.flatnonzero(near[index])
        kept = partners[np.argsort(distances[index, partners], kind="stable")[:MAX_PARTNERS]]
        yield int(index), kept, len(partners) - len(kept)


def _pair(one: Row, other: Row, distance: int) -> Pair:
    first, second = (one.path, other.path) if one.path < other.path else (other.path, one.path)
    return Pair(first, second, one.is_mirrored != other.is_mirrored, distance)


def verified(candidates: Sequence[Pair], signatures: Mapping[str, Signature]) -> list[Pair]:
    """Those of the pairs whose thumbnails agree, too.

    Args:
        candidates: pairs by their hashes alone.
        signatures: by path, of all that are in the pairs.
    """
    paths = sorted({path for pair in candidates for path in (pair.first, pair.second)})
    places = {path: place for place, path in enumerate(paths)}
    details = details_of([signatures[path] for path in paths])
    kept: list[Pair] = []
    for some in _blocks(candidates):
        first = details[[places[pair.first] for pair in some]]
        second = details[[places[pair.second] for pair in some]]
        is_mirrored = np.array([pair.is_mirrored for pair in some])
        second[is_mirrored] = second[is_mirrored, :, ::-1]
        agree = correlations(first, second) >= _MIN_CORRELATIONS[[pair.distance for pair in some]]
        kept += [pair for pair, is_kept in zip(some, agree, strict=True) if is_kept]
    return kept


def distinct(pairs: Iterable[Pair]) -> list[Pair]:
    """Each two photographs once, in order; a pair as it is goes before a mirrored one, then the nearer."""
    best: dict[tuple[str, str], Pair] = {}
    for pair in sorted(pairs):
        best.setdefault((pair.first, pair.second), pair)
    return list(best.values())


def _blocks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _BLOCK):
        yield items[start : start + _BLOCK]
