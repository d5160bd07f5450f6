"""The screen while a run is going on: a line per component on a terminal, a line per event elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipeline.cli.screen import duration
from trainer.interruption import Interrupted
from trainer.progress import REMARKS, Progress

if TYPE_CHECKING:
    from pipeline.local import StepEvent

_WIDTH_WITH_BAR = 100
_BAR_WIDTH = 16
_STARTING = "TensorFlow and TFX are loaded, up to a minute"
_REFRESHES_PER_SECOND = 8
# What a training counts; each has a line of its own.
_OF_TRAINING = ("epochs", "evaluations")
_SYMBOLS = {
    "waiting": ("·", "dim"),
    "done": ("✓", "green"),
    "reused": ("=", "cyan"),
    "failed": ("✗", "red"),
    "interrupted": ("✗", "red"),
}


@dataclass
class _Line:
    name: str
    state: str = "waiting"
    started_at: float | None = None
    duration_s: float | None = None
    progress: Progress | None = None

    def seconds(self) -> float | None:
        """How long it took, or has run so far."""
        if self.state == "started" and self.started_at is not None:
            return time.monotonic() - self.started_at
        return self.duration_s


class Display:
    """Follows a run and shows it. Its methods may be called from any thread."""

    def __init__(self, console: Console, step_names: Sequence[str]) -> None:
        """Shows the components named `step_names`, in this order."""
        self._console = console
        self._lines = {name: _Line(name) for name in step_names}
        self._current: _Line | None = None
        self._last_epoch: Progress | None = None
        self._lock = Lock()
        self._spinner = Spinner("dots")
        self._begun_at = time.monotonic()

    def on_step(self, event: "StepEvent") -> None:
        """Takes in that a component has started or ended."""
        with self._lock:
            line = self._lines.setdefault(event.name, _Line(event.name))
            line.state, line.duration_s = event.state, event.duration_s
            if event.state == "started":
                line.started_at = time.monotonic()
                self._current = line
        if event.state != "started":
            self._print_if_plain(line)

    def on_progress(self, progress: Progress) -> None:
        """Takes in how far the current component is."""
        with self._lock:
            if self._current is None:
                return
            is_remark = progress.unit == REMARKS
            if not is_remark:
                self._current.progress = progress
            is_new_epoch = progress.unit in _OF_TRAINING and progress != self._last_epoch and progress.done > 0
            if is_new_epoch:
                self._last_epoch = progress
        if is_new_epoch or is_remark:
            self._console.print(Padding(Text(_how_far(progress), style="dim"), (0, 0, 0, 3), expand=False))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draws until the block ends; if an error ends it, so it does the step that was running."""
        self._begun_at = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"starting: {_STARTING}")
        with self._live() if self._console.is_terminal else nullcontext():
            try:
                yield
            except (KeyboardInterrupt, Interrupted):
                self._end_current("interrupted")
                raise
            except BaseException:
                self._end_current("failed")
                raise

    def _live(self) -> Live:
        return Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=_REFRESHES_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _end_current(self, state: str) -> None:
        with self._lock:
            line = self._current
            if line is None or line.state != "started":
                return
            line.duration_s, line.state = line.seconds(), state
        self._print_if_plain(line)

    def _print_if_plain(self, line: _Line) -> None:
        if not self._console.is_terminal:
            self._console.print(self._plain(line), soft_wrap=True)

    def _plain(self, line: _Line) -> str:
        position = list(self._lines).index(line.name) + 1
        number = f"{position:>{len(str(len(self._lines)))}}/{len(self._lines)}"
        width = max(map(len, self._lines))
        took = duration(line.duration_s)
        return f"{number}  {line.name:<{width}}  {line.state:<6}  {took:>9}  {_what(line)}".rstrip()

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, min_width=8, justify="right")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        with self._lock:
            if self._current is None:
                waited = duration(time.monotonic() - self._begun_at)
                table.add_row(self._spinner, "starting", waited, _STARTING)
            for line in self._lines.values():
                table.add_row(*self._cells(line))
        return table

    def _cells(self, line: _Line) -> list[RenderableType]:
        symbol, style = _SYMBOLS.get(line.state, ("", "bold"))
        is_running = line.state == "started"
        bar = _bar(line.progress) if is_running and self._console.width >= _WIDTH_WITH_BAR else ""
        return [
            self._spinner if is_running else Text(symbol, style),
            Text(line.name, "" if line.state == "done" else style),
            Text(duration(line.seconds())),
            Text(
                bar + _what(line),
                "" if is_running else style if line.state in ("failed", "interrupted") else "dim",
            ),
        ]


def _what(line: _Line) -> str:
    if line.state in ("reused", "failed", "interrupted"):
        return line.state
    if line.progress is None:
        return ""
    return _how_much(line.progress) if line.state == "done" else _how_far(line.progress)


def _how_far(progress: Progress) -> str:
    """While it runs. Of epochs and evaluations, the note says which one it is in its phase; a remark is all note."""
    if progress.unit in (*_OF_TRAINING, REMARKS) and progress.note:
        return progress.note
    return _how_much(progress) + (f" · {progress.note}" if progress.note else "")


def _how_much(progress: Progress) -> str:
    total = "" if progress.total in (None, progress.done) else f" of {progress.total:,}"
    return f"{progress.done:,}{total} {progress.unit}"


def _bar(progress: Progress | None) -> str:
    """Heavy for what is done, light for what is not: readable without colour."""
    if progress is None or not progress.total:
        return ""
    num_filled = min(_BAR_WIDTH, _BAR_WIDTH * progress.done // progress.total)
    return "━" * num_filled + "─" * (_BAR_WIDTH - num_filled) + "  "
