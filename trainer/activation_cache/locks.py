"""Locks between processes that end with the process that holds them, however it ends."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS_BETWEEN_TRIES = 0.2
# A file system without locks, or one that cannot be written to.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Holds a lock together with others who share it; without one where the file system has none."""
    with _held(path, fcntl.LOCK_SH, lambda: None):
        yield


@contextmanager
def exclusive(path: Path, while_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds a lock alone; without one where the file system has none.

    Args:
        path: of the lock's file, which is made.
        while_waiting: called again and again while somebody else holds it; what it raises ends the waiting.
    """
    with _held(path, fcntl.LOCK_EX, while_waiting):
        yield


@contextmanager
def exclusive_or_none(path: Path) -> Iterator[bool]:
    """Holds a lock alone if nobody has it; says whether."""
    descriptor = _open(path)
    try:
        yield descriptor is None or _try(descriptor, fcntl.LOCK_EX)
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def _held(path: Path, kind: int, while_waiting: Callable[[], None]) -> Iterator[None]:
    descriptor = _open(path)
    try:
        while descriptor is not None and not _try(descriptor, kind):
            while_waiting()
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(path: Path) -> int | None:
    try:
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir(parents=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
