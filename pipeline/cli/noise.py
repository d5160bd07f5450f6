"""Keeps what libraries print off the screen: Python and C++ alike, at the level of file descriptors."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_STDOUT, _STDERR = 1, 2


@contextmanager
def kept_in(log: Path) -> Iterator[TextIO]:
    """Sends standard output, standard error and Python's logging to a file, also those of child processes.

    Yields:
        The real standard output, to draw on. It stays usable after the block.
    """
    saved = {number: os.dup(number) for number in (_STDOUT, _STDERR)}
    screen = os.fdopen(
        os.dup(saved[_STDOUT]), "w", encoding=sys.stdout.encoding or "utf-8", errors="replace", buffering=1
    )
    _flush()
    with log.open("a", encoding="utf-8", errors="replace", buffering=1) as file:
        for number in saved:
            os.dup2(file.fileno(), number)
        try:
            with _logging_to(file):
                yield screen
        finally:
            _flush()
            screen.flush()
            for number, descriptor in saved.items():
                os.dup2(descriptor, number)
                os.close(descriptor)


def _flush() -> None:
    # Text still buffered would otherwise come out on the other side of the switch.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


@contextmanager
def _logging_to(file: TextIO) -> Iterator[None]:
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
