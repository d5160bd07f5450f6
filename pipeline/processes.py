"""Telling whether a process that was noted down is still the same one, and alive."""

import os
import subprocess
from pathlib import Path


def mark(pid: int) -> str | None:
    """Identifies a process beyond its number, which is used again after a while.

    Returns:
        "boot/namespace/start" on Linux, the start time elsewhere; None where there is no such process.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # It is there, and someone else's.
    return _linux_mark(pid) if Path("/proc/self/stat").exists() else _start_by_ps(pid)


def can_see(process_mark: str) -> bool:
    """Whether a process with this mark, if alive, would be visible from here: same boot and PID namespace."""
    own = mark(os.getpid()) or ""
    return own.rpartition("/")[0] == process_mark.rpartition("/")[0]


def _linux_mark(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in brackets and may hold anything; the state and the start time follow it.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespace = Path("/proc/self/ns/pid").readlink()
    return f"{boot}/{namespace}/{fields[19]}"


def _start_by_ps(pid: int) -> str | None:
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return done.stdout.strip() or None
