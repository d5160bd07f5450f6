"""What the figures were measured on. No names of hosts, people or folders: the results are published."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "tensorflow",
    "keras",
    "tfx",
    "apache-beam",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "numpy",
)


def machine_facts() -> Mapping[str, str | int | float | Mapping[str, str]]:
    """Processor, cores, memory, operating system, versions, and the day, by name."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo")),
        "num_cores": _num_usable_cores(),
        "memory_gib": round(memory_bytes / 1024**3, 1),
        "operating_system": _operating_system(),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES},
        "measured_on": datetime.now(UTC).date().isoformat(),
    }


def cpu_model(cpuinfo: Path) -> str:
    """The processor's name from Linux's list, or what Python knows of it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", maxsplit=1)[1].strip()
    return platform.processor() or platform.machine()


def _num_usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _operating_system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.platform(terse=True)
    return f"{name}, {platform.machine()}"
