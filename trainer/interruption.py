"""Being told to stop: a machine that is taken away sends SIGTERM first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trainer.errors import ThawError


class Interrupted(ThawError):
    """Training was told to stop, and stopped."""


class StopAsked(Exception):
    """Leaves the loops of training; whoever owns the checkpoints catches it."""


class StopRequest:
    """Whether somebody wants the training to stop."""

    def __init__(self, agreed: Callable[[bool], bool] = bool) -> None:
        """Not as yet.

        Args:
            agreed: makes of what this process has noted what all processes of the training go by.
        """
        self._agreed = agreed
        self._is_noted = False

    def note(self) -> None:
        """Somebody does."""
        self._is_noted = True

    @property
    def is_set(self) -> bool:
        """Whether SIGTERM came, here or to another process of the training; to be asked by all at the same step."""
        return self._agreed(self._is_noted)


@contextmanager
def listening_for_sigterm(agreed: Callable[[bool], bool] = bool) -> Iterator[StopRequest]:
    """Notes the first SIGTERM instead of dying of it; a second one does what it did before.

    Signals reach the main thread only: in another one nothing is ever noted.

    Args:
        agreed: see `StopRequest`.
    """
    request = StopRequest(agreed)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # None where something outside Python handles it.
    previous = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL

    def note(*_: Any) -> None:
        request.note()
        signal.signal(signal.SIGTERM, previous)

    signal.signal(signal.SIGTERM, note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, previous)
