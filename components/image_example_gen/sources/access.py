"""Reading any part of a file, wherever it lies: the ground that archives and record files stand on.

Everything here can be pickled and read from several threads at once: nothing keeps a position, and what is open is
opened again in another process.
"""

import contextlib
import errno
import io
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

from components.image_example_gen.refusals import Reason, Refusal
from trainer.errors import ThawError

PIECE_BYTES = 1 << 20
# What is wrong with this machine at the moment, and not with a photograph.
_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC}


class NotARegularFile(OSError):
    """A pipe, a device or a folder where a file was expected."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a regular file")


class RandomAccess(Protocol):
    """Bytes that can be read anywhere.

    Attributes:
        buffer_bytes: how much is worth reading at once where the reading is in sequence.
    """

    @property
    def buffer_bytes(self) -> int: ...

    def num_bytes(self) -> int:
        """How many bytes there are.

        Raises:
            OSError: the file is missing or cannot be read.
        """
        ...

    def version(self) -> str:
        """Changes when the bytes do.

        Raises:
            OSError: the file is missing or cannot be read.
        """
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on; fewer than `length` only where the file ends.

        Raises:
            OSError: the file is missing or cannot be read.
        """
        ...


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine, opened for each reading; a pipe or device is never waited on."""

    path: str
    buffer_bytes: int = 1 << 16

    def num_bytes(self) -> int:
        status = os.stat(self.path)
        if not stat.S_ISREG(status.st_mode):
            raise NotARegularFile
        return status.st_size

    def version(self) -> str:
        return version_of(os.stat(self.path))

    def read_at(self, offset: int, length: int) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise NotARegularFile
            return _read_all(descriptor, offset, min(length, status.st_size - offset))
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Section:
    """A part of a file as if it were one: an uncompressed member of an archive."""

    whole: RandomAccess
    start: int
    length: int

    @property
    def buffer_bytes(self) -> int:
        return self.whole.buffer_bytes

    def num_bytes(self) -> int:
        return self.length

    def version(self) -> str:
        return self.whole.version()

    def read_at(self, offset: int, length: int) -> bytes:
        return self.whole.read_at(self.start + offset, min(length, self.length - offset))


class Spool:
    """What has to be decompressed before any part of it can be read: one temporary file without a name per process.

    It is gone when the process ends. A copy in another process starts empty.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process_id = os.getpid()
        self._file: IO[bytes] | None = None
        self._sections: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return (Spool, ())

    def section(self, name: str, version: str, pieces: Iterator[bytes]) -> Section:
        """What the pieces make together; they are asked for only the first time that the name is.

        Raises:
            ThawError: there is no room for them.
            Exception: whatever making the pieces raises.
        """
        with self._lock:
            if self._process_id != os.getpid():
                self._process_id, self._file, self._sections, self._end = os.getpid(), None, {}, 0
            if name not in self._sections:
                self._sections[name] = self._append(pieces)
            start, length = self._sections[name]
        return Section(_Spooled(self, version), start, length)

    def _append(self, pieces: Iterator[bytes]) -> tuple[int, int]:
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        start = position = self._end
        for piece in pieces:
            position += self._write(piece, position)
        self._end = position
        return start, position - start

    def _write(self, piece: bytes, position: int) -> int:
        assert self._file is not None
        try:
            self._file.seek(position)
            self._file.write(piece)
            self._file.flush()
        except OSError as error:
            raise ThawError(
                f"no room to decompress into {tempfile.gettempdir()!r}: {error.strerror}; make room, or set TMPDIR"
            ) from None
        return len(piece)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the temporary file, at most up to its end."""
        assert self._file is not None
        return _read_all(self._file.fileno(), offset, length)


@dataclass(frozen=True)
class _Spooled:
    spool: Spool
    source_version: str
    buffer_bytes: int = 1 << 16

    def num_bytes(self) -> int:
        raise AssertionError("a spool is read through its sections")

    def version(self) -> str:
        return self.source_version

    def read_at(self, offset: int, length: int) -> bytes:
        return self.spool.read_at(offset, length)


def open_stream(access: RandomAccess) -> io.BufferedReader:
    """The bytes as a file that can be read and sought, for libraries that want one; for one thread."""
    return io.BufferedReader(_Stream(access), access.buffer_bytes)


def read_whole(access: RandomAccess, max_bytes: int) -> bytes:
    """All the bytes.

    Raises:
        Refusal: MISSING, UNREADABLE, TOO_MANY_BYTES or EMPTY_FILE.
    """
    with refusing():
        content = access.read_at(0, max_bytes + 1)
    return checked_size(content, max_bytes)


def checked_size(content: bytes, max_bytes: int) -> bytes:
    """The content, if it is neither empty nor too long.

    Raises:
        Refusal: TOO_MANY_BYTES or EMPTY_FILE.
    """
    if len(content) > max_bytes:
        raise Refusal(Reason.TOO_MANY_BYTES, f"more than the {max_bytes} bytes allowed")
    if not content:
        raise Refusal(Reason.EMPTY_FILE, "0 bytes")
    return content


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns what is wrong with a file into the refusal of it.

    Raises:
        Refusal: MISSING or UNREADABLE.
    """
    try:
        yield
    except FileNotFoundError:
        raise Refusal(Reason.MISSING, "there is no such file") from None
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise
        raise Refusal(Reason.UNREADABLE, error.strerror or str(error)) from None


def version_of(status: os.stat_result) -> str:
    """Size and time of last modification."""
    return f"{status.st_size}-{status.st_mtime_ns}"


class _Stream(io.RawIOBase):
    def __init__(self, access: RandomAccess) -> None:
        self._access, self._position, self._num_bytes = access, 0, access.num_bytes()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._num_bytes}[whence]
        if start + offset < 0:  # as a real file does; zipfile relies on it for files that are too short
            raise OSError(errno.EINVAL, "the place lies before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        content = self._access.read_at(self._position, min(len(buffer), max(0, self._num_bytes - self._position)))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def _read_all(descriptor: int, offset: int, length: int) -> bytes:
    """`os.pread`, which may return less than there is, until there is no more."""
    first = os.pread(descriptor, max(0, length), offset)
    if len(first) >= length:
        return first
    pieces = [first]
    while piece := os.pread(descriptor, length - sum(map(len, pieces)), offset + sum(map(len, pieces))):
        pieces.append(piece)
    return b"".join(pieces)
