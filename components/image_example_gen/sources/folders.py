"""Photographs whose paths say what they show: class folders, and any other pattern with placeholders."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from components.image_example_gen.refusals import Reason
from components.image_example_gen.sources.entry import Entry, Listing, Photograph, Rejected
from components.image_example_gen.sources.listing import is_hidden, listing_of
from components.image_example_gen.sources.naming import check_folder_label, split_named
from components.image_example_gen.sources.patterns import PathPattern
from components.image_example_gen.sources.stores import FolderStore, Store, StoredFile, leaves
from trainer.errors import ThawError

_NUM_NAMES_SHOWN = 5
_NUM_LOOKED_AT = 10_000


@dataclass(frozen=True)
class FolderSource:
    """The files that patterns match.

    Attributes:
        store: where they lie.
        patterns: a pattern for each split; the one pattern of photographs that are not split has the name None.
        labels: the only classes there may be; None for any.
    """

    store: Store
    patterns: Mapping[str | None, PathPattern]
    labels: tuple[str, ...] | None = None

    def list_entries(self) -> Listing:
        found = matching_files(self.store, self.patterns)
        entries: list[Entry] = []
        rejected: list[Rejected] = []
        for file, split, said in found.files:
            told = _entry(file, split, said)
            (entries if isinstance(told, Entry) else rejected).append(told)  # type: ignore[arg-type]
        return listing_of(entries, rejected, found.ignored, labels=self.labels)

    def read(self, entry: Entry, max_bytes: int) -> Photograph:
        return Photograph(entry, self.store.read(entry.path, entry.place, max_bytes))


@dataclass(frozen=True)
class Matches:
    """What patterns match in a store.

    Attributes:
        files: each with its split, if the pattern gives one, and with what the placeholders stand for.
        ignored: paths of the hidden ones.
    """

    files: list[tuple[StoredFile, str | None, dict[str, str]]]
    ignored: list[str]


def matching_files(store: Store, patterns: Mapping[str | None, PathPattern]) -> Matches:
    """Finds the files that the patterns match.

    Raises:
        ThawError: a pattern matches no file, two match the same one, or {split} stands for none.
    """
    depths = [pattern.max_depth for pattern in patterns.values()]
    deepest = None if None in depths else max(depth for depth in depths if depth is not None)
    matches = Matches([], [])
    without = dict(patterns)
    for file in store.list_files(deepest):
        if leaves(file.path):  # told whatever the patterns are: nobody packs such a name by mistake
            matches.files.append((file, None, {"label": ""}))
            continue
        hits = {split: said for split, pattern in patterns.items() if (said := pattern.match(file.path)) is not None}
        if not hits:
            continue
        if is_hidden(file.path):
            matches.ignored.append(file.path)
            continue
        key, said = _only_hit(file.path, hits)
        matches.files.append((file, _split_in(file.path, said) if "split" in said else key, said))
        without.pop(key, None)
    for pattern in without.values():
        raise ThawError(_no_match(store, pattern, matches.ignored))
    return matches


def _only_hit(path: str, hits: dict[str | None, dict[str, str]]) -> tuple[str | None, dict[str, str]]:
    if len(hits) > 1:
        one, other = list(hits)[:2]
        raise ThawError(f"{path!r} matches the patterns of both splits {one!r} and {other!r}")
    return next(iter(hits.items()))


def _split_in(path: str, said: dict[str, str]) -> str:
    try:
        return split_named(said["split"])
    except ValueError as error:
        raise ThawError(f"in {path!r}, {error}; rename it, or mend the pattern") from None


def label_in(path: str, said: dict[str, str]) -> str:
    """The class that a path says: what {label} stands for, else the folder that holds the file; "" where there is none.

    Raises:
        ThawError: the vocabulary cannot hold it.
    """
    return check_folder_label(said["label"] if "label" in said else PurePosixPath(path).parent.name)


def _entry(file: StoredFile, split: str | None, said: dict[str, str]) -> Entry | Rejected:
    label = label_in(file.path, said)
    if file.problem:
        return Rejected(file.path, label, Reason.UNREADABLE, file.problem)
    if not label:
        return Rejected(file.path, "", Reason.NO_LABEL, "it lies in no class folder")
    return Entry(file.path, file.version, label, split, said.get("group"), place=file.place)


def _no_match(store: Store, pattern: PathPattern, ignored: list[str]) -> str:
    return f"no file in {store.name!r} matches {pattern.text!r}; {_hint(store, pattern, ignored)}"


def _hint(store: Store, pattern: PathPattern, ignored: list[str]) -> str:
    hidden = next((path for path in ignored if pattern.match(path) is not None), None)
    if hidden is not None:
        return f"only hidden files do, such as {hidden!r}"
    files = [file.path for file in itertools.islice(store.list_files(), _NUM_LOOKED_AT)]
    names = sorted({*(path.split("/")[0] for path in files), *_folders(store)})
    if not names:
        return f"the {store.kind} is empty"
    shown = ", ".join(repr(name) for name in names[:_NUM_NAMES_SHOWN])
    first = PathPattern(pattern.text.split("/")[0])
    inside = [name for name in names if name not in files]
    if any(first.match(name) is not None for name in inside):
        such_as = next((f"; there is {path!r}" for path in sorted(files) if "/" in path), "")
        return f"the {store.kind} holds {shown}, but they hold no such files{such_as}"
    return f"the {store.kind} holds {shown}; images must lie in a folder per class, such as CLASS/photo.jpg"


def _folders(store: Store) -> list[str]:
    """Folders in the store's own folder, which may be empty."""
    if not isinstance(store, FolderStore):
        return []
    with os.scandir(store.name) as items:
        return [item.name for item in items if item.is_dir()]
