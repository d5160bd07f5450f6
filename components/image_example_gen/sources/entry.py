"""What a source lists, and what it gives for each entry."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from components.image_example_gen.refusals import Reason

Value = str | int | float


@dataclass(frozen=True)
class Entry:
    """One photograph that a source lists, before it is read.

    Attributes:
        path: names the photograph, once in the source, with forward slashes: "cats/1.jpg", or "a.tfrecord#17".
        version: changes when the bytes do, such as size and time of modification, or an entity tag.
        label: its class; None where only reading tells it.
        split: its given split, "train", "eval" or "test"; None where none is given, or where only reading tells it.
        group: entries of the same group stay in one split; None where there is none.
        weight: of the example.
        features: further features by name, in the order of the names.
        place: where the source finds the bytes; of no meaning to anybody else.
    """

    path: str
    version: str
    label: str | None = None
    split: str | None = None
    group: str | None = None
    weight: float = 1.0
    features: tuple[tuple[str, Value], ...] = ()
    place: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """An entry that is refused before it is read, such as a row of a manifest without a label.

    Attributes:
        path: names it, as well as it can be named: the photograph, or the manifest and its line.
        label: its class, or "" where it has none.
        reason: why.
        detail: what was found, in words.
    """

    path: str
    label: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Listing:
    """All that a source holds.

    Attributes:
        entries: in a fixed order in which the classes are mixed (by a hash of the path), whatever order they were found
            in.
        rejected: in the order of their paths.
        ignored: paths of hidden files, which are left alone.
        spans: the spans that were read, oldest first; empty where the source has none.
    """

    entries: tuple[Entry, ...]
    rejected: tuple[Rejected, ...] = ()
    ignored: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()


@dataclass(frozen=True)
class Photograph:
    """What a source gives for an entry.

    Attributes:
        entry: with everything filled in that only reading tells.
        content: the encoded image.
    """

    entry: Entry
    content: bytes = field(repr=False)


class Source(Protocol):
    """A place of photographs. It can be pickled, and read from several threads at once."""

    def list_entries(self) -> Listing:
        """Lists everything, reading as little as it can.

        Raises:
            ThawError: there is nothing, or what is there contradicts itself; the message says the remedy.
        """
        ...

    def read(self, entry: Entry, max_bytes: int) -> Photograph:
        """Reads one entry of `list_entries`.

        Args:
            entry: as it was listed.
            max_bytes: the most bytes that are read.

        Raises:
            Refusal: with one of the reasons MISSING, UNREADABLE, TOO_MANY_BYTES, EMPTY_FILE, NO_LABEL, BAD_VALUE,
                CANNOT_BE_DECODED.
        """
        ...


def mixed_order(paths: Sequence[str]) -> list[str]:
    """The paths in the order of a hash: fixed, and with the classes mixed."""
    import hashlib

    return sorted(paths, key=lambda path: (hashlib.sha256(path.encode(errors="surrogateescape")).digest(), path))
