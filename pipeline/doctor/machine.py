"""The machine: C library, Python, memory, GPUs."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from pipeline.doctor.finding import Finding, ok, problem, warning

# The wheels of ml-metadata and tensorflow-data-validation that TFX 1.21 needs are built for this one.
MIN_GLIBC = (2, 39)
PYTHONS = ((3, 11), (3, 13))
_GIB = 2**30
_MEMORY_NEEDED = 2 * _GIB
_MEMORY_WANTED = 4 * _GIB
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def c_library() -> Finding:
    """Whether the C library is new enough for TFX's wheels."""
    what = "C library"
    system, machine = platform.system(), platform.machine()
    if system == "Darwin":
        if machine == "arm64":
            return ok(what, "macOS on arm64")
        return problem(what, f"macOS on {machine}", "TFX has wheels for arm64 only; use a Linux container")
    version = _glibc_version()
    if version is None:
        return problem(what, f"no glibc ({system})", "use Debian 13, Ubuntu 24.04 or newer, or the project's image")
    found = f"glibc {'.'.join(map(str, version))} on {machine}"
    if version < MIN_GLIBC:
        needed = ".".join(map(str, MIN_GLIBC))
        return problem(what, found, f"{needed} is needed: Debian 13, Ubuntu 24.04, or ./thaw, which uses an image")
    return ok(what, found)


def _glibc_version() -> tuple[int, ...] | None:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return None
    number = name.removeprefix("glibc ")
    return tuple(int(part) for part in number.split(".")) if name.startswith("glibc ") else None


def python() -> Finding:
    """Whether this is a Python that the stack supports."""
    found = f"{platform.python_version()} at {sys.executable}"
    low, high = PYTHONS
    if low <= sys.version_info[:2] <= high:
        return ok("Python", found)
    return problem("Python", found, "Python 3.11 to 3.13 is needed; `uv sync --locked` makes an environment with it")


def memory() -> Finding:
    """Whether there is memory for TensorFlow, TFX and a small model."""
    available = available_memory_bytes()
    found = f"{available / _GIB:.1f} GiB available"
    if available < _MEMORY_NEEDED:
        return problem("memory", found, f"{_MEMORY_NEEDED // _GIB} GiB are needed; stop other programs, or add memory")
    if available < _MEMORY_WANTED:
        return warning("memory", found, "enough for the digits; larger models want 4 GiB and more")
    return ok("memory", found)


def available_memory_bytes() -> int:
    """Memory that this process may still take: the machine's, or less where its container has a limit."""
    available = _memory_of_machine()
    limit, usage = (_number_in(Path("/sys/fs/cgroup", name)) for name in ("memory.max", "memory.current"))
    return available if limit is None or usage is None else min(available, limit - usage)


def _memory_of_machine() -> int:
    """What Linux could give without swapping; elsewhere all there is."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def _number_in(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # No such limit, or "max".
        return None


def gpus() -> Finding:
    """Which GPUs the driver offers; none is well, too."""
    try:
        done = subprocess.run(_NVIDIA_SMI, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        return ok("GPUs", "none (no nvidia-smi); training runs on the processor")
    except subprocess.TimeoutExpired:
        return warning("GPUs", "nvidia-smi does not answer", "the driver hangs; restart the machine")
    names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().partition("\n")[0]
        return warning("GPUs", f"nvidia-smi fails: {reason}", "mend the driver, or train on the processor")
    return ok("GPUs", "; ".join(names) if names else "none; training runs on the processor")
