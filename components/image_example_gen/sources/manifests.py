"""Photographs that a table lists: CSV, or JSON lines."""

import math
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import ManifestSettings
from components.image_example_gen.sources.access import LocalFile, RandomAccess
from components.image_example_gen.sources.buckets import BucketFile, is_in_bucket
from components.image_example_gen.sources.entry import Entry, Listing, Photograph, Rejected
from components.image_example_gen.sources.listing import listing_of
from components.image_example_gen.sources.naming import label_problem, split_named
from components.image_example_gen.sources.stores import MISSING, Store, leaves
from components.image_example_gen.sources.tables import Cell, Row, read_table, typed_column
from trainer.errors import ThawError

_MAX_MANIFEST_BYTES = 4 << 30


@dataclass(frozen=True)
class _Line:
    """An entry as a row says it, and the line it says it on."""

    entry: Entry
    line: int


@dataclass(frozen=True)
class ManifestSource:
    """The photographs that a manifest lists. Files that it does not list are none.

    White space around labels, splits and groups is taken off, as tables often have it.

    Attributes:
        store: where the photographs lie.
        settings: the manifest, and which column means what.
        labels: the only classes there may be; None for any.
    """

    store: Store
    settings: ManifestSettings
    labels: tuple[str, ...] | None = None

    def list_entries(self) -> Listing:
        rows = read_table(self.settings.file, self._content(), self._columns())
        lines, rejected = self._lines(rows)
        kept, contradicting = _one_for_each_path(lines)
        entries = self._found(kept)
        return listing_of(entries, [*rejected, *contradicting], labels=self.labels)

    def read(self, entry: Entry, max_bytes: int) -> Photograph:
        if entry.version == MISSING:
            raise Refusal(Reason.MISSING, f"the manifest names it, but it is not in {self.store.name!r}")
        return Photograph(entry, self.store.read(entry.path, entry.place, max_bytes))

    def _columns(self) -> list[str]:
        settings = self.settings
        named = [settings.path, settings.label, settings.split, settings.group, settings.weight, *settings.features]
        return list(dict.fromkeys(column for column in named if column is not None))

    def _content(self) -> bytes:
        return manifest_content(self.store, self.settings.file)

    def _lines(self, rows: list[Row]) -> tuple[list[_Line], list[Rejected]]:
        columns = {name: typed_column(row.values[name] for row in rows) for name in sorted(self.settings.features)}
        lines: list[_Line] = []
        rejected: list[Rejected] = []
        for index, row in enumerate(rows):
            features = tuple((name, value) for name in columns if (value := columns[name][index]) is not None)
            try:
                lines.append(_Line(replace(self._entry(row), features=features), row.line))
            except Refusal as refusal:
                name = self._path_if_any(row) or f"{self.settings.file}:{row.line}"
                detail = f"line {row.line} of {self.settings.file}: {refusal.detail}"
                rejected.append(Rejected(name, _text(row.values[self.settings.label]), refusal.reason, detail))
        return lines, rejected

    def _entry(self, row: Row) -> Entry:
        if row.problem:
            raise Refusal(Reason.BAD_VALUE, row.problem)
        values, settings = row.values, self.settings
        path = self._path(_text(values[settings.path], stripped=False))
        label = _text(values[settings.label])
        if not label:
            raise Refusal(Reason.NO_LABEL, f"{settings.label!r} is empty")
        if label_problem(label):
            raise Refusal(Reason.BAD_VALUE, f"the label {label!r} {label_problem(label)}")
        split = _split(_text(values[settings.split])) if settings.split else None
        group = _text(values[settings.group]) or None if settings.group else None
        weight = _weight(values[settings.weight]) if settings.weight else 1.0
        return Entry(path, MISSING, label, split, group, weight)

    def _path(self, text: str) -> str:
        """The path relative to the store, in one way of writing it."""
        path = posixpath.normpath(text.removeprefix(f"{self.store.name}/"))
        if not text.strip() or path == ".":
            raise Refusal(Reason.BAD_VALUE, f"{self.settings.path!r} is empty")
        if leaves(path) or "://" in text.removeprefix(f"{self.store.name}/"):
            raise Refusal(Reason.BAD_VALUE, f"the path {text!r} leads out of {self.store.name!r}")
        if "\0" in path:
            raise Refusal(Reason.BAD_VALUE, f"the path {text!r} has a null character in it")
        return path

    def _path_if_any(self, row: Row) -> str:
        try:
            return self._path(_text(row.values[self.settings.path], stripped=False))
        except Refusal:
            return ""

    def _found(self, entries: list[Entry]) -> list[Entry]:
        there = self.store.find([entry.path for entry in entries])
        found = []
        for entry in entries:
            file = there.get(entry.path)
            found.append(entry if file is None else replace(entry, version=file.version, place=file.place))
        return found


def open_manifest(store: Store, file: str) -> RandomAccess:
    """The manifest: in the store, or anywhere where its name is absolute.

    Raises:
        ThawError: there is no such file.
    """
    if is_in_bucket(file):
        return BucketFile(file)
    if file.startswith("/"):
        return LocalFile(file)
    path = posixpath.normpath(file)
    found = store.find([path]).get(path)
    if found is None:
        raise ThawError(
            f"there is no manifest {file!r} in {store.name!r}; data.manifest.file is relative to data.images"
        )
    return store.open(path, found.place)


def manifest_content(store: Store, file: str) -> bytes:
    """The manifest's bytes.

    Raises:
        ThawError: it cannot be read.
    """
    try:
        access = open_manifest(store, file)
        content = access.read_at(0, _MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ThawError(f"cannot read the manifest {file!r}: {error.strerror or error}") from None
    if len(content) > _MAX_MANIFEST_BYTES:
        raise ThawError(f"the manifest {file!r} has more than {_MAX_MANIFEST_BYTES} bytes; split it")
    return content


def _one_for_each_path(lines: list[_Line]) -> tuple[list[Entry], list[Rejected]]:
    """Merges rows that say the same; those that contradict each other are all rejected."""
    by_path: dict[str, list[_Line]] = {}
    for line in lines:
        by_path.setdefault(line.entry.path, []).append(line)
    kept: list[Entry] = []
    rejected: list[Rejected] = []
    for same in by_path.values():
        if all(line.entry == same[0].entry for line in same):
            kept.append(same[0].entry)
        else:
            rejected += _contradicting(same)
    return kept, rejected


def _contradicting(same: list[_Line]) -> Iterable[Rejected]:
    where = ", ".join(str(line.line) for line in same[:10])
    labels = sorted({str(line.entry.label) for line in same})
    reason, detail = Reason.CONFLICTING_LABELS, f"lines {where} say {' and '.join(map(repr, labels))}"
    if len(labels) == 1:
        reason, detail = Reason.BAD_VALUE, f"lines {where} name it with different values"
    for line in same:
        yield Rejected(line.entry.path, str(line.entry.label), reason, detail)


def _text(cell: Cell, stripped: bool = True) -> str:
    text = "" if cell is None else str(cell)
    return text.strip() if stripped else text


def _split(text: str) -> str | None:
    try:
        return split_named(text) if text else None
    except ValueError as error:
        raise Refusal(Reason.BAD_VALUE, str(error)) from None


def _weight(cell: Cell) -> float:
    return checked_weight(_text(cell))


def checked_weight(text: str) -> float:
    """The weight that a text means.

    Raises:
        Refusal: BAD_VALUE, it is not a finite number of at least 0.
    """
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise Refusal(Reason.BAD_VALUE, f"the weight {text!r} is not a number of at least 0")
    return weight
