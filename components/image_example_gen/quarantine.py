"""The account of an ingestion: what came in, what was refused and why."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

REFUSED_FILE = "refused.jsonl"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Refused:
    """One refused file: path relative to the images folder, its class folder, the reason, and what was found."""

    path: str
    label: str
    reason: str
    detail: str


@dataclass
class Account:
    """Counts of one chunk of files, or of all of them; accounts add up.

    Attributes:
        accepted: number of examples by (split, label).
        refused: every refused file.
    """

    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)

    @property
    def num_accepted(self) -> int:
        return sum(self.accepted.values())

    @property
    def num_files(self) -> int:
        return self.num_accepted + len(self.refused)

    @property
    def refused_fraction(self) -> float:
        """Share of the files that were refused, in [0, 1]; 0 where there are none."""
        return len(self.refused) / self.num_files if self.num_files else 0.0

    def num_by_reason(self) -> dict[str, int]:
        """Number of refused files by reason, the most frequent first."""
        return dict(Counter(item.reason for item in self.refused).most_common())

    def num_by_split(self) -> dict[str, dict[str, int]]:
        """Number of examples by split and label; train comes first, then eval, then test, then any others."""
        table: dict[str, dict[str, int]] = {}
        for (split, label), count in sorted(self.accepted.items(), key=lambda item: (_rank(item[0][0]), item[0])):
            table.setdefault(split, {})[label] = count
        return table


def _rank(split: str) -> int:
    known = ("train", "eval", "test")
    return known.index(split) if split in known else len(known)


def add_up(accounts: Iterable[Account]) -> Account:
    """The sum of accounts; the order of refused files is that of their paths, whatever the order of the sum."""
    total = Account()
    for account in accounts:
        total.accepted.update(account.accepted)
        total.refused.extend(account.refused)
    total.refused.sort(key=lambda item: item.path)
    return total


def write(account: Account, ignored: Iterable[str], folder: str) -> None:
    """Writes `refused.jsonl` (a line per refused file) and `summary.json` into an existing folder."""
    from pathlib import Path

    lines = [json.dumps(vars(item), ensure_ascii=False, sort_keys=True) for item in account.refused]
    (Path(folder) / REFUSED_FILE).write_text("".join(line + "\n" for line in lines), "utf-8", "surrogateescape")
    summary = {
        "num_files": account.num_files,
        "num_accepted": account.num_accepted,
        "num_refused": len(account.refused),
        "num_refused_by_reason": account.num_by_reason(),
        "num_by_split": account.num_by_split(),
        "ignored_hidden_files": sorted(ignored),
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    (Path(folder) / SUMMARY_FILE).write_text(text, "utf-8", "surrogateescape")
