"""How far a long piece of work has come, told to whoever listens.

Work reports; it never prints. The command line listens and draws; on a cluster nobody listens and reports are dropped.
Listeners are process-wide, not context-local, because Beam calls our code from threads of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True)
class Progress:
    """One report.

    Attributes:
        done: how many units are finished.
        total: how many there are, or None where that is not known.
        unit: what is counted, in the plural ("images", "epochs").
        note: a few words more, such as the loss; may be empty.
    """

    done: int
    total: int | None
    unit: str
    note: str = ""


# The unit of reports that are no count: their note is a line of its own.
REMARKS = "remarks"

Listener = Callable[[Progress], None]

_listeners: list[Listener] = []
_lock = Lock()


def report(progress: Progress) -> None:
    """Tells every listener."""
    with _lock:
        listeners = tuple(_listeners)
    for listener in listeners:
        listener(progress)


def remark(words: str) -> None:
    """Tells every listener something that is worth a line."""
    report(Progress(0, None, REMARKS, words))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Calls `listener` for every report made inside the block, from whatever thread."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


class Tally:
    """A count that several threads advance, reported at every step.

    Attributes:
        total: how many units there will be, or None where that is not known.
        unit: what is counted, in the plural.
    """

    def __init__(self, total: int | None, unit: str) -> None:
        self.total = total
        self.unit = unit
        self._done = 0
        self._lock = Lock()

    def advance(self, num_units: int, note: str = "") -> None:
        """Adds finished units and reports the sum."""
        with self._lock:
            self._done += num_units
            done = self._done
        report(Progress(done=done, total=self.total, unit=self.unit, note=note))
