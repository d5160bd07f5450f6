"""Damage of the kinds that image files suffer, or are given on purpose."""

from collections.abc import Callable, Sequence

import numpy as np

_EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0", b"\xff\xff", b"\1\0")
_HEADER_SIZE = 96


def mutate(content: bytes, others: Sequence[bytes], random: np.random.Generator) -> tuple[str, bytes]:
    """Damages a file.

    Args:
        content: the file.
        others: more files, to take pieces from.
        random: decides.

    Returns:
        The kind of the damage, and the damaged file.
    """
    kinds = list(_KINDS)
    kind = kinds[int(random.integers(len(kinds)))]
    damaged = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        if len(damaged) > 1:
            damaged = _KINDS[kind](damaged, others, random)
    return kind, bytes(damaged)


def _place(size: int, random: np.random.Generator) -> int:
    """Anywhere, but every other time in the header."""
    return int(random.integers(min(size, _HEADER_SIZE) if random.random() < 0.5 else size))


def _flip_bits(data: bytearray, others: Sequence[bytes], random: np.random.Generator) -> bytearray:
    for _ in range(int(random.integers(1, 9))):
        data[_place(len(data), random)] ^= 1 << int(random.integers(8))
    return data


def _truncate(data: bytearray, others: Sequence[bytes], random: np.random.Generator) -> bytearray:
    return data[: _place(len(data), random)]


def _lie(data: bytearray, others: Sequence[bytes], random: np.random.Generator) -> bytearray:
    """Overwrites a field of the header with an extreme or any value."""
    place = int(random.integers(min(len(data), _HEADER_SIZE)))
    value = _EXTREMES[int(random.integers(len(_EXTREMES)))] if random.random() < 0.7 else random.bytes(4)
    data[place : place + len(value)] = value
    return data


def _splice(data: bytearray, others: Sequence[bytes], random: np.random.Generator) -> bytearray:
    """Puts a piece of another file, or of this one, somewhere."""
    source = others[int(random.integers(len(others)))] if random.random() < 0.5 else bytes(data)
    start = _place(len(source), random)
    place = _place(len(data), random)
    data[place:place] = source[start : start + int(random.integers(1, 400))]
    return data


def _cut_out(data: bytearray, others: Sequence[bytes], random: np.random.Generator) -> bytearray:
    place = _place(len(data), random)
    del data[place : place + int(random.integers(1, 200))]
    return data


_KINDS: dict[str, Callable[[bytearray, Sequence[bytes], np.random.Generator], bytearray]] = {
    "bits flipped": _flip_bits,
    "truncated": _truncate,
    "header lied about": _lie,
    "pieces spliced in": _splice,
    "pieces cut out": _cut_out,
}
