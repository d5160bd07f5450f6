"""Runs what is measured in a fresh process each time, so that its memory and its imports are its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parent.parent
_NUM_LOG_LINES_SHOWN = 30
_STATUS = Path("/proc/self/status")


class BenchmarkError(Exception):
    """A measured process failed; the message ends with the end of its log."""


@dataclass(frozen=True)
class Measurement:
    """What came out of one measured process.

    Attributes:
        result: what it reported.
        peak_memory_mib: the largest resident memory of the process, or of one of its own children.
    """

    result: dict[str, Any]
    peak_memory_mib: float


def run_isolated(module: str, *arguments: str | Path | int) -> Measurement:
    """Runs `python -m module ARGUMENTS… WORK_FOLDER`, where the module calls `report_from`.

    The calling process must stay small: Linux counts its memory, at the time of the call, into the child's peak. So the
    benchmarks import TensorFlow only in what they measure.

    Raises:
        BenchmarkError: the process failed or reported nothing.
    """
    with tempfile.TemporaryDirectory(prefix="thaw-benchmark-") as folder:
        work, log = Path(folder, "work"), Path(folder, "log.txt")
        work.mkdir()
        command = [sys.executable, "-m", module, *map(str, arguments), str(work)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=subprocess.STDOUT)
        peak_memory_mib = _wait(process)
        if process.returncode or not _result_file(work).is_file():
            raise BenchmarkError(_failure(command, process.returncode, log))
        result = json.loads(_result_file(work).read_text("utf-8"))
    return Measurement(result, peak_memory_mib)


def report_from(measure: Callable[[Sequence[str], Path], dict[str, Any]]) -> None:
    """The other side of `run_isolated`: calls `measure(arguments, empty work folder)` and hands its result over."""
    *arguments, folder = sys.argv[1:]
    result = measure(arguments, Path(folder))
    _result_file(Path(folder)).write_text(json.dumps(result), "utf-8")


def memory_so_far_mib() -> float:
    """The largest resident memory that this process has had; taken after the imports, it tells what they cost.

    Linux hands `ru_maxrss` of the process that started this one down; its own is in `/proc` (proc(5), VmHWM).
    """
    import resource

    if _STATUS.exists():
        (line,) = (line for line in _STATUS.read_text("ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return _in_mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Waits for the end, and returns the peak memory in MiB; only wait4 tells it of this child apart from others."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return _in_mib(usage.ru_maxrss)


def _in_mib(max_rss: int) -> float:
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return max_rss * bytes_per_unit / 1024**2


def _result_file(work: Path) -> Path:
    return work / "result.json"


def _failure(command: Sequence[str], exit_status: int, log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines()
    shown = "\n".join(f"  {line}" for line in lines[-_NUM_LOG_LINES_SHOWN:])
    return f"{' '.join(command[1:])} failed with exit status {exit_status}; its last lines were:\n{shown}"
