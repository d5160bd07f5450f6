"""Folders that nothing can be written to, for root too, whom permissions do not stop, and without mounting anything."""

import errno
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.utime", "os.chmod", "os.link", "os.symlink"}
_tried: dict[str, list[str]] = {}


@contextmanager
def read_only(folder: Path) -> Iterator[list[str]]:
    """Calls of Python that would change something in a folder fail as in a file system that is mounted read-only.

    Yields:
        What was tried, as Python's audit events name it.
    """
    _install()
    _tried[str(folder)] = []
    try:
        yield _tried[str(folder)]
    finally:
        del _tried[str(folder)]


@functools.cache
def _install() -> None:
    """There is no way to take it back; without such folders it does nothing."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if not _tried or not (event in _CHANGES or (event == "open" and _is_for_writing(arguments[2]))):
        return
    for path in (os.fspath(argument) for argument in arguments if isinstance(argument, str | os.PathLike)):
        for folder, tried in _tried.items():
            if path == folder or str(path).startswith(f"{folder}/"):
                tried.append(event)
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


def _is_for_writing(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
