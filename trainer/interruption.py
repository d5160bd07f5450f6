"""Being told to stop: a machine that is taken away sends SIGTERM first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainer.errors import ThawError


class Interrupted(ThawError):
    """Training was told to stop, and stopped."""


class StopAsked(Exception):
    """Leaves the loops of training; whoever owns the checkpoints catches it."""


class StopRequest:
    """Whether somebody wants the training to stop.

    Attributes:
        is_set: true after SIGTERM.
    """

    def __init__(self) -> None:
        self.is_set = False


@contextmanager
def listening_for_sigterm() -> Iterator[StopRequest]:
    """Notes the first SIGTERM instead of dying of it; a second one does what it did before.

    Signals reach the main thread only: in another one nothing is ever noted.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # None where something outside Python handles it.
    previous = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL

    def note(*_: Any) -> None:
        request.is_set = True
        signal.signal(signal.SIGTERM, previous)

    signal.signal(signal.SIGTERM, note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, previous)
