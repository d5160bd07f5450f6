"""One run at a time in a pipeline root."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import processes
from trainer.errors import ThawError

LOCK_FILE = ".lock"


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Holds the pipeline root for this process alone.

    Raises:
        ThawError: another process holds it, or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise not_writable(root, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ThawError(_taken(root)) from None
        _write_holder(root / LOCK_FILE)
        yield


def is_held_by(process_mark: str, root: Path) -> bool:
    """Whether the process with this mark holds the pipeline root, wherever it runs."""
    holder = _holder(root / LOCK_FILE)
    return _is_locked(root / LOCK_FILE) and holder is not None and holder["process"] == process_mark


def not_writable(path: Path, error: OSError) -> ThawError:
    """The error for a folder of thaw's that cannot be written."""
    return ThawError(f"cannot write in {path}: {error.strerror}; free space or rights, or another infrastructure.root")


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _write_holder(path: Path) -> None:
    holder = {"pid": os.getpid(), "process": processes.mark(os.getpid())}
    path.write_text(json.dumps(holder), encoding="utf-8")


def _holder(path: Path) -> dict[str, object] | None:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return holder if isinstance(holder, dict) and "process" in holder else None


def _taken(root: Path) -> str:
    holder = _holder(root / LOCK_FILE)
    process = f"process {holder['pid']}" if holder else "another process"
    stop = f", stop it with `kill {holder['pid']}`" if holder else ""
    return (
        f"a run is under way in {root} ({process}); wait for it{stop}, "
        "or take another folder with `--set infrastructure.root=FOLDER`"
    )
