"""What a report shows, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "refused"]


@dataclass(frozen=True)
class Picture:
    """A small picture with words under it.

    Attributes:
        caption: what it is.
        png: the encoded picture; None where it cannot be shown.
        note: said in place of the picture where there is none, such as why it was refused.
    """

    caption: str
    png: bytes | None
    note: str = ""


@dataclass(frozen=True)
class RefusedPhotograph:
    """One line of the list of what was refused."""

    path: str
    label: str
    reason: str
    detail: str


@dataclass(frozen=True)
class LookalikePair:
    """Two photographs that look the same.

    Attributes:
        first: one of them; the caption says its path, and what else helps, such as its split.
        second: the other.
        kind: in words, such as "identical", "near-duplicate" or "mirrored".
    """

    first: Picture
    second: Picture
    kind: str


@dataclass(frozen=True)
class SampleGroup:
    """Pictures under a title, such as those of one class."""

    title: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class DataReport:
    """All that the page shows.

    Attributes:
        title: heading of the page.
        summary: sentences under the heading: where the photographs come from, when they were read, what is worth a
            look.
        labels: the classes, in the order in which they are shown.
        num_by_split: number of photographs by split, then class; a class that is missing counts 0.
        num_refused: number of refused photographs by reason, then class ("" where there is none).
        refused: the refused photographs, as many as are known; the page lists the first 200.
        pairs: photographs that look the same and lie in different splits, as many as are to be shown.
        num_pairs: how many there are in all.
        sizes_px: (width, height) of the photographs, of all or of a sample.
        num_by_format: number of photographs by format, such as "jpeg".
        samples: a group for each class.
        refused_samples: pictures of refused photographs.
    """

    title: str
    labels: Sequence[str]
    num_by_split: Mapping[str, Mapping[str, int]]
    summary: Sequence[str] = ()
    num_refused: Mapping[str, Mapping[str, int]] | None = None
    refused: Sequence[RefusedPhotograph] = ()
    pairs: Sequence[LookalikePair] = ()
    num_pairs: int = 0
    sizes_px: Sequence[tuple[int, int]] = ()
    num_by_format: Mapping[str, int] | None = None
    samples: Sequence[SampleGroup] = ()
    refused_samples: Sequence[Picture] = ()
