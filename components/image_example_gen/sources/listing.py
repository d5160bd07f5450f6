"""What every source does with what it has found: orders it, and notices when it has changed."""

import hashlib
import json
from collections.abc import Iterable

from components.image_example_gen.refusals import Reason
from components.image_example_gen.sources.entry import Entry, Listing, Rejected, mixed_order


def listing_of(
    entries: Iterable[Entry],
    rejected: Iterable[Rejected] = (),
    ignored: Iterable[str] = (),
    *,
    labels: tuple[str, ...] | None = None,
    spans: tuple[str, ...] = (),
) -> Listing:
    """Puts everything in its fixed order, and rejects what is of a class that may not be.

    Args:
        entries: with paths of which no two are the same.
        rejected: what is refused already.
        ignored: paths that are left alone.
        labels: the only classes there may be; None for any.
        spans: the spans that were read.
    """
    by_path = {entry.path: entry for entry in entries}
    unknown = [entry for entry in by_path.values() if _is_unknown(entry, labels)]
    for entry in unknown:
        del by_path[entry.path]
    return Listing(
        entries=tuple(by_path[path] for path in mixed_order(list(by_path))),
        rejected=tuple(sorted([*rejected, *(_of_unknown_label(entry, labels) for entry in unknown)], key=_in_order)),
        ignored=tuple(sorted(ignored)),
        spans=spans,
    )


def fingerprint(listing: Listing) -> str:
    """Digests what is listed: it differs after anything was changed, added, removed or told otherwise.

    Contents are not read here; that would double the reading of every run in which nothing has changed. Where the bytes
    lie (`Entry.place`) does not count.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    entries = [[e.path, e.version, e.label, e.split, e.group, e.weight, e.features] for e in listing.entries]
    rejected = [[r.path, r.label, r.reason, r.detail] for r in listing.rejected]
    rows = sorted(json.dumps(row) for row in [*entries, *rejected])
    return hashlib.sha256(json.dumps([rows, listing.spans]).encode()).hexdigest()


def is_hidden(path: str) -> bool:
    """Whether a file or a folder that it lies in has a name that begins with a dot."""
    return any(part.startswith(".") for part in path.split("/"))


def _is_unknown(entry: Entry, labels: tuple[str, ...] | None) -> bool:
    return labels is not None and entry.label is not None and entry.label not in labels


def _of_unknown_label(entry: Entry, labels: tuple[str, ...] | None) -> Rejected:
    return Rejected(entry.path, entry.label or "", Reason.UNKNOWN_LABEL, f"not one of data.labels: {_some(labels)}")


def _some(labels: tuple[str, ...] | None) -> str:
    names = [repr(label) for label in labels or ()]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _in_order(rejected: Rejected) -> tuple[str, ...]:
    return (rejected.path, rejected.label, rejected.reason, rejected.detail)
