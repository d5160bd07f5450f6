"""Where files lie: a folder here; `archives` and `buckets` have the others."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from components.image_example_gen.sources.access import LocalFile, RandomAccess, read_whole, version_of
from components.image_example_gen.sources.entry import Value
from trainer.errors import ThawError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

MISSING = "missing"
"""Version of a file that a manifest names but that is not there."""


@dataclass(frozen=True)
class StoredFile:
    """A file in a store.

    Attributes:
        path: relative to the store, with forward slashes.
        version: changes when the bytes do.
        place: where the store finds the bytes, so that reading needs no second listing.
        problem: why it cannot be read, known already (a link in an archive); "" for a file.
    """

    path: str
    version: str
    place: tuple[Value, ...] = ()
    problem: str = ""


class Store(Protocol):
    """A set of files with names. It can be pickled, and read from several threads at once.

    Attributes:
        name: names it in messages, and is what absolute names of files in it begin with.
        kind: "folder", "archive" or "bucket folder", for messages.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def list_files(self, max_depth: int | None = None) -> Iterator[StoredFile]:
        """All files, hidden ones too, in no fixed order.

        Args:
            max_depth: files in more folders than that, less one, may be left out.

        Raises:
            ThawError: there is no such store, or it cannot be listed.
        """
        ...

    def find(self, paths: Sequence[str]) -> dict[str, StoredFile]:
        """Those of the paths that are there.

        Raises:
            ThawError: there is no such store, or it cannot be listed.
        """
        ...

    def read(self, path: str, place: tuple[Value, ...], max_bytes: int) -> bytes:
        """The content of a file.

        Raises:
            Refusal: MISSING, UNREADABLE, TOO_MANY_BYTES or EMPTY_FILE.
        """
        ...

    def open(self, path: str, place: tuple[Value, ...]) -> RandomAccess:
        """The file, to read parts of it.

        Raises:
            OSError: it is missing or cannot be read.
        """
        ...


@dataclass(frozen=True)
class FolderStore:
    """A folder on this machine. Links are followed; one that leads nowhere is listed, and refused when it is read."""

    name: str
    kind: str = "folder"

    def list_files(self, max_depth: int | None = None) -> Iterator[StoredFile]:
        if not os.path.isdir(self.name):
            raise ThawError(
                f"no folder {self.name!r} to read images from; set data.images to a folder of class folders"
            )
        waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        while waiting:
            folder, above = waiting.pop()
            identity = _identity(os.path.join(self.name, folder))
            if identity in above:  # a link to a folder that it lies in: all of it is listed already
                continue
            for item in _scan(os.path.join(self.name, folder)):
                path = f"{folder}/{item.name}" if folder else item.name
                if not _is_folder(item):
                    yield StoredFile(path, _version(item))
                elif max_depth is None or path.count("/") + 2 <= max_depth:
                    waiting.append((path, above | {identity}))

    def find(self, paths: Sequence[str]) -> dict[str, StoredFile]:
        found = {}
        for path in paths:
            try:
                status = os.stat(os.path.join(self.name, path))
            except (OSError, ValueError):  # ValueError: a null character in the name
                continue
            found[path] = StoredFile(path, version_of(status))
        return found

    def read(self, path: str, place: tuple[Value, ...], max_bytes: int) -> bytes:
        return read_whole(LocalFile(os.path.join(self.name, path)), max_bytes)

    def open(self, path: str, place: tuple[Value, ...]) -> RandomAccess:
        return LocalFile(os.path.join(self.name, path))


def joined(folder: str, name: str) -> str:
    """A name inside a folder or bucket."""
    return f"{folder.rstrip('/')}/{name}"


def clean_path(name: str) -> str:
    """Without "." and doubled slashes; one that leaves the archive is left as it is."""
    return name if leaves(name) else posixpath.normpath(name)


def leaves(name: str) -> bool:
    """Whether a name would lead out of the place it belongs to."""
    return name.startswith("/") or ".." in name.split("/")


def is_archive(place: str) -> bool:
    """Whether a name ends as an archive's does."""
    return place.rstrip("/").lower().endswith(ARCHIVE_SUFFIXES)


def _scan(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError as error:
        raise ThawError(
            f"cannot list the folder {folder!r}: {error.strerror}; mend its rights, or move it out of data.images"
        ) from None


def _identity(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder)
    except OSError as error:
        raise ThawError(f"cannot list the folder {folder!r}: {error.strerror}") from None
    return status.st_dev, status.st_ino


def _is_folder(item: "os.DirEntry[str]") -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def _version(item: "os.DirEntry[str]") -> str:
    try:
        return version_of(item.stat())
    except OSError:  # a link that leads nowhere; reading it will say so
        pass
    try:
        return version_of(item.stat(follow_symlinks=False))
    except OSError:  # gone since it was listed
        return MISSING
