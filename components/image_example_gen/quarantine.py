"""The account of an ingestion: what came in, what was refused and why, and what is there twice."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from components.image_example_gen.duplicates.pairs import Pair
from components.image_example_gen.facts import Facts
from components.image_example_gen.sources.entry import Rejected

REFUSED_FILE = "refused.jsonl"
DUPLICATES_FILE = "duplicates.jsonl"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, order=True)
class Duplicate:
    """Two photographs that are equal or look the same.

    Attributes:
        first: path of one.
        second: path of the other.
        kind: "equal" bytes, "near" (looks the same), or "mirrored" (looks the same left to right).
        first_split: split of the first.
        second_split: split of the second.
        first_label: class of the first.
        second_label: class of the second.
    """

    first: str
    second: str
    kind: str
    first_split: str
    second_split: str
    first_label: str
    second_label: str

    @property
    def is_across_splits(self) -> bool:
        """Whether what is learned from one may be tested on the other."""
        return self.first_split != self.second_split

    @property
    def has_two_labels(self) -> bool:
        """Whether one of the two classes must be wrong."""
        return self.first_label != self.second_label


@dataclass(frozen=True)
class Account:
    """Counts of a whole ingestion.

    Attributes:
        accepted: number of examples by (split, label).
        refused: every refused photograph, in the order of the paths.
        ignored: hidden files, which were left alone.
        formats: number of accepted photographs by the format that they came in.
        num_normalised: how many of them are kept as a PNG instead.
        duplicates: pairs; those that look alike are connected by them, not all paired.
        num_unchecked: comparisons of photographs that were left out, because too many look alike.
        spans: the spans that were read, oldest first.
        warnings: what is allowed but should be known, in words.
    """

    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: tuple[Rejected, ...] = ()
    ignored: tuple[str, ...] = ()
    formats: Counter[str] = field(default_factory=Counter)
    num_normalised: int = 0
    duplicates: tuple[Duplicate, ...] = ()
    num_unchecked: int = 0
    spans: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def num_accepted(self) -> int:
        return sum(self.accepted.values())

    @property
    def num_files(self) -> int:
        return self.num_accepted + len(self.refused)

    @property
    def refused_fraction(self) -> float:
        """Share of the photographs that were refused, in [0, 1]; 0 where there are none."""
        return len(self.refused) / self.num_files if self.num_files else 0.0

    def num_by_reason(self) -> dict[str, int]:
        """Number of refused photographs by reason, the most frequent first."""
        return dict(Counter(item.reason.value for item in self.refused).most_common())

    def num_by_reason_and_label(self) -> dict[str, dict[str, int]]:
        """The same, class by class; "" stands for those without one."""
        table: dict[str, Counter[str]] = {reason: Counter() for reason in self.num_by_reason()}
        for item in self.refused:
            table[item.reason.value][item.label] += 1
        return {reason: dict(sorted(counts.items())) for reason, counts in table.items()}

    def num_by_split(self) -> dict[str, dict[str, int]]:
        """Number of examples by split and label; train comes first, then eval, then test."""
        table: dict[str, dict[str, int]] = {}
        for (split, label), count in sorted(self.accepted.items(), key=lambda item: (_rank(item[0][0]), item[0])):
            table.setdefault(split, {})[label] = count
        return table

    def num_duplicates(self) -> dict[str, int]:
        """Number of pairs by kind, and of those that matter."""
        kinds = Counter(item.kind for item in self.duplicates)
        return {
            **{kind: kinds[kind] for kind in ("equal", "near", "mirrored")},
            "across splits": sum(item.is_across_splits for item in self.duplicates),
            "with two labels": sum(item.has_two_labels for item in self.duplicates),
        }


def _rank(split: str) -> int:
    known = ("train", "eval", "test")
    return known.index(split) if split in known else len(known)


def find_duplicates(photographs: Sequence[Facts], pairs: Iterable[Pair], splits: Mapping[str, str]) -> list[Duplicate]:
    """All pairs, those with equal bytes first found here; in the order of their paths.

    Args:
        photographs: all that were accepted.
        pairs: those that look the same.
        splits: of every path.
    """
    by_path = {photograph.path: photograph for photograph in photographs}
    first_of: dict[str, str] = {}
    kinds: dict[tuple[str, str], str] = {}
    for photograph in sorted(photographs, key=lambda item: item.path):
        first = first_of.setdefault(photograph.content_sha256, photograph.path)
        if first != photograph.path:
            kinds[first, photograph.path] = "equal"
    for pair in pairs:
        if by_path[pair.first].content_sha256 != by_path[pair.second].content_sha256:
            kinds[pair.first, pair.second] = "mirrored" if pair.is_mirrored else "near"
    return [
        Duplicate(first, second, kind, splits[first], splits[second], by_path[first].label, by_path[second].label)
        for (first, second), kind in sorted(kinds.items())
    ]


def write(account: Account, folder: str) -> None:
    """Writes `refused.jsonl` and `duplicates.jsonl` (a line each) and `summary.json` into an existing folder."""
    _write_lines(Path(folder) / REFUSED_FILE, map(asdict, account.refused))
    _write_lines(Path(folder) / DUPLICATES_FILE, map(asdict, account.duplicates))
    summary = {
        "num_files": account.num_files,
        "num_accepted": account.num_accepted,
        "num_refused": len(account.refused),
        "num_refused_by_reason": account.num_by_reason(),
        "num_refused_by_reason_and_label": account.num_by_reason_and_label(),
        "num_by_split": account.num_by_split(),
        "num_by_format": dict(sorted(account.formats.items())),
        "num_normalised": account.num_normalised,
        "num_duplicate_pairs": account.num_duplicates(),
        "num_comparisons_left_out": account.num_unchecked,
        "spans": list(account.spans),
        "warnings": list(account.warnings),
        "ignored_hidden_files": sorted(account.ignored),
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (Path(folder) / SUMMARY_FILE).write_text(text, "utf-8", "surrogateescape")


def _write_lines(path: Path, items: Iterable[Mapping[str, object]]) -> None:
    text = "".join(json.dumps(item, ensure_ascii=False, sort_keys=True) + "\n" for item in items)
    path.write_text(text, "utf-8", "surrogateescape")
