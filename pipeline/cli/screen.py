"""How things are written for people: consoles, paths, commands, durations."""

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_FILES = 200


def command_name() -> str:
    """What the user types for `thaw`; the wrapper script says so in `THAW_COMMAND`."""
    return os.environ.get("THAW_COMMAND", "thaw")


def console_on(file: TextIO) -> "Console":
    """A console that takes its width from `file`; what is no terminal gets room for long lines."""
    from rich.console import Console

    return Console(file=file, width=_width_on(file), highlight=False, emoji=False, markup=False)


def _width_on(file: TextIO) -> int | None:
    """None where rich finds out by itself, and follows when the window changes."""
    if "COLUMNS" in os.environ:
        return None
    if not file.isatty():
        return _WIDTH_OF_FILES
    # Rich asks standard input before the two streams that may be redirected to a log.
    return None if sys.stdin.isatty() else os.get_terminal_size(file.fileno()).columns


def stdout_console() -> "Console":
    """A console on standard output."""
    return console_on(sys.stdout)


def tell_error(error: Exception | str) -> None:
    """Writes `thaw: …` to standard error, with the error's notes on lines of their own."""
    notes = getattr(error, "__notes__", [])
    print("\n".join([f"thaw: {error}", *notes]), file=sys.stderr)


def print_path(console: "Console", path: str) -> None:
    """Prints a path on a line of its own, never broken, so that it can be copied."""
    console.print(f"  {path}", soft_wrap=True)


def print_command(console: "Console", *words: str | Path) -> None:
    """Prints a command to type on a line of its own, never broken."""
    console.print(f"  {command(*words)}", soft_wrap=True, style="bold")


def command(*words: str | Path) -> str:
    """A `thaw` command as it would be typed into a shell; paths are made short."""
    shown = [short_path(word) if isinstance(word, Path) else word for word in words]
    return f"{command_name()} {shlex.join(shown)}"


def short_path(path: Path | str) -> str:
    """Relative below the current folder: that also holds where the folder is mounted under another name."""
    here = Path.cwd()
    absolute = Path(path)
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) and absolute != here else str(path)


def duration(seconds: float | None) -> str:
    """Such as "0.4 s", "42 s", "3 min 05 s", "2 h 07 min"; empty for None."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def local_time(moment: datetime) -> str:
    """In the reader's time zone, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Such as "1 run" or "1,797 runs"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def listed(words: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
