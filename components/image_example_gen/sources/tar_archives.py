"""Tar archives, read in place.

A plain tar is listed by its headers, and its members are read by their offsets; in a bucket, listing reads all of it
once. Nothing in the middle of a compressed one can be found without reading all before it, so `.tar.gz`, `.tar.bz2`
and `.tar.xz` are decompressed once per process, into a temporary file without a name, which takes that much room in
`TMPDIR`.
"""

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.image_example_gen.sources.access import (
    PIECE_BYTES,
    RandomAccess,
    Section,
    Spool,
    open_stream,
    read_whole,
)
from components.image_example_gen.sources.entry import Value
from components.image_example_gen.sources.stores import StoredFile, clean_path, leaves
from trainer.errors import ThawError

_DECOMPRESSORS: dict[str, Any] = {
    ".tar.gz": gzip.open,
    ".tgz": gzip.open,
    ".tar.bz2": bz2.open,
    ".tbz2": bz2.open,
    ".tar.xz": lzma.open,
    ".txz": lzma.open,
}
_DAMAGE = (tarfile.TarError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class TarStore:
    """The members of a tar archive, compressed or not."""

    name: str
    archive: RandomAccess
    spool: Spool = field(default_factory=Spool, compare=False, repr=False)
    kind: str = field(default="archive", repr=False)

    def list_files(self, max_depth: int | None = None) -> Iterator[StoredFile]:
        with _in_words(self.name):
            version = self.archive.version()
            members = [member for member in _members(self._plain()) if not member.isdir()]
        last_of_name = {clean_path(member.name): index for index, member in enumerate(members)}
        for index, member in enumerate(members):
            is_replaced = last_of_name[clean_path(member.name)] != index
            yield _described(member, version, is_replaced)

    def find(self, paths: Sequence[str]) -> dict[str, StoredFile]:
        wanted = set(paths)
        return {file.path: file for file in self.list_files() if file.path in wanted and not file.problem}

    def read(self, path: str, place: tuple[Value, ...], max_bytes: int) -> bytes:
        return read_whole(self.open(path, place), max_bytes)

    def open(self, path: str, place: tuple[Value, ...]) -> RandomAccess:
        offset, num_bytes = place
        return Section(self._plain(), int(offset), int(num_bytes))

    def _plain(self) -> RandomAccess:
        if self.name.lower().endswith(".tar"):
            return self.archive
        with _in_words(self.name):
            return self.spool.section(self.name, "", self._decompressed())

    def _decompressed(self) -> Iterator[bytes]:
        decompress = next(open_ for suffix, open_ in _DECOMPRESSORS.items() if self.name.lower().endswith(suffix))
        with open_stream(self.archive) as stream, decompress(stream, "rb") as plain:
            while piece := plain.read(PIECE_BYTES):
                yield piece


def _members(plain: RandomAccess) -> list[tarfile.TarInfo]:
    with open_stream(plain) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        members = archive.getmembers()
        end = archive.offset
    # tarfile takes a damaged header for the end of the archive, and would lose all that follows it.
    block = plain.read_at(end, tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"cut off at byte {end}")
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"damaged at byte {end}")
    return members


def _described(member: tarfile.TarInfo, version: str, is_replaced: bool) -> StoredFile:
    path = clean_path(member.name)
    problem = ""
    if leaves(member.name):
        problem = "its name leads out of the archive"
    elif not member.isreg():
        problem = "a link, pipe or device in the archive; these are not followed"
    elif member.issparse():
        problem = "stored with gaps (a sparse file) in the archive"
    elif is_replaced:
        problem = "a later member of the archive has the same name"
    return StoredFile(path, f"{version}-{member.size}", (member.offset_data, member.size), problem)


@contextlib.contextmanager
def _in_words(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ThawError(f"there is no archive {name!r}") from None
    except (*_DAMAGE, gzip.BadGzipFile) as error:
        raise ThawError(f"the archive {name!r} is broken: {error}; make or fetch it again") from None
    except OSError as error:  # bz2 says so of invalid data, too
        raise ThawError(f"cannot read the archive {name!r}: {error.strerror or error}") from None
