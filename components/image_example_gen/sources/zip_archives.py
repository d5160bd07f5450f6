"""Zip archives, read in place."""

import contextlib
import errno
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import IO

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.sources.access import (
    RandomAccess,
    Section,
    Spool,
    checked_size,
    open_stream,
    refusing,
)
from components.image_example_gen.sources.entry import Value
from components.image_example_gen.sources.stores import StoredFile, clean_path, leaves
from trainer.errors import ThawError

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 0x1
_NAME_IS_UTF8 = 0x800
_MADE_ON_DOS = 0
_SPARE_BYTES = 1024  # name and extra field of the local header, whose length the directory does not tell
_AT_ONCE_BYTES = 32 << 20
_PIECE_BYTES = 1 << 20


class _Damaged(Exception):
    """A member is not what the directory says; the message says how."""


@dataclass(frozen=True)
class _Member:
    """What the directory says of a member; the numbers of `StoredFile.place`, in this order."""

    header_offset: int
    compressed_bytes: int
    num_bytes: int
    checksum: int
    method: int
    flags: int


@dataclass(frozen=True)
class ZipStore:
    """The members of a zip archive. Each is found by its offset, so the directory is read for listing only."""

    name: str
    archive: RandomAccess
    spool: Spool = field(default_factory=Spool, compare=False, repr=False)
    kind: str = field(default="archive", repr=False)

    def list_files(self, max_depth: int | None = None) -> Iterator[StoredFile]:
        members = self._directory()
        last_of_name = {member_path(info): index for index, info in enumerate(members)}
        for index, info in enumerate(members):
            if not member_path(info).endswith("/"):
                yield _described(info, is_replaced=last_of_name[member_path(info)] != index)

    def find(self, paths: Sequence[str]) -> dict[str, StoredFile]:
        wanted = set(paths)
        return {file.path: file for file in self.list_files() if file.path in wanted and not file.problem}

    def read(self, path: str, place: tuple[Value, ...], max_bytes: int) -> bytes:
        member = _Member(*(int(value) for value in place))
        pieces: list[bytes] = []
        with refusing(), _refusing_damage():
            for piece in self._pieces(member):
                pieces.append(piece)
                # A declared size may lie, so what counts is what comes out.
                if sum(map(len, pieces)) > max_bytes:
                    break
        return checked_size(b"".join(pieces), max_bytes)

    def open(self, path: str, place: tuple[Value, ...]) -> RandomAccess:
        member = _Member(*(int(value) for value in place))
        try:
            with _refusing_damage():
                return self.spool.section(path, _version(member.num_bytes, member.checksum), self._pieces(member))
        except Refusal as refusal:
            raise OSError(errno.EIO, refusal.detail) from None

    def _directory(self) -> list[zipfile.ZipInfo]:
        try:
            with open_stream(self.archive) as stream, zipfile.ZipFile(stream) as archive:
                return archive.infolist()
        except FileNotFoundError:
            raise ThawError(f"there is no archive {self.name!r}") from None
        except OSError as error:
            raise ThawError(f"cannot read the archive {self.name!r}: {error.strerror or error}") from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as error:
            raise ThawError(f"the archive {self.name!r} is broken: {error}; make or fetch it again") from None

    def _pieces(self, member: _Member) -> Iterator[bytes]:
        """The decompressed content, which the caller may stop at any piece.

        Raises:
            Refusal: UNREADABLE, for what zip can do and this does not read.
            _Damaged: sizes or checksum are wrong.
        """
        if member.flags & _ENCRYPTED:
            raise Refusal(Reason.UNREADABLE, "encrypted in the archive")
        if member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refusal(Reason.UNREADABLE, f"compressed in the archive by method {member.method}; deflate is read")
        checksum = num_bytes = 0
        with self._compressed(member) as stream:
            for piece in _stored(stream) if member.method == zipfile.ZIP_STORED else _inflated(stream):
                checksum, num_bytes = zlib.crc32(piece, checksum), num_bytes + len(piece)
                yield piece
        if (checksum, num_bytes) != (member.checksum, member.num_bytes):
            raise _Damaged("size or checksum is wrong")

    def _compressed(self, member: _Member) -> IO[bytes]:
        """What follows the local header; where it is not long, both come in one reading."""
        at_once = min(_SPARE_BYTES + member.compressed_bytes, _AT_ONCE_BYTES)
        content = self.archive.read_at(member.header_offset, at_once)
        if len(content) < _LOCAL_HEADER.size or not content.startswith(_SIGNATURE):
            raise _Damaged("it does not begin where the directory says")
        _, name_length, extra_length = _LOCAL_HEADER.unpack_from(content)
        start = _LOCAL_HEADER.size + name_length + extra_length
        end = start + member.compressed_bytes
        if end <= len(content):
            return io.BytesIO(content[start:end])
        return open_stream(Section(self.archive, member.header_offset + start, member.compressed_bytes))


def _stored(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_PIECE_BYTES):
        yield piece


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflater.eof:
        compressed = inflater.unconsumed_tail or stream.read(_PIECE_BYTES)
        piece = inflater.decompress(compressed, _PIECE_BYTES)
        if not (compressed or piece):
            raise _Damaged("it is cut off")
        yield piece


@contextlib.contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except (_Damaged, zlib.error) as error:
        raise Refusal(Reason.UNREADABLE, f"damaged in the archive: {error}") from None


def member_path(info: zipfile.ZipInfo) -> str:
    """The name with forward slashes; one that ends in a slash is a folder."""
    name = info.filename
    if not info.flag_bits & _NAME_IS_UTF8:
        # Many tools (Info-ZIP, macOS) write UTF-8 without saying so, and zipfile then reads it as code page 437.
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    if info.create_system == _MADE_ON_DOS:
        name = name.replace("\\", "/")
    return f"{clean_path(name)}/" if name.endswith("/") else clean_path(name)


def _described(info: zipfile.ZipInfo, is_replaced: bool) -> StoredFile:
    path = member_path(info)
    mode = info.external_attr >> 16
    problem = ""
    if leaves(path):
        problem = "its name leads out of the archive"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        problem = "a link or device in the archive; these are not followed"
    elif is_replaced:
        problem = "a later member of the archive has the same name"
    member = _Member(
        info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type, info.flag_bits
    )
    return StoredFile(path, _version(info.file_size, info.CRC), astuple(member), problem)


def _version(num_bytes: int, checksum: int) -> str:
    return f"{num_bytes}-{checksum:08x}"
