"""The files and folders of a configuration."""

import shutil
import tempfile
from pathlib import Path

from pipeline.config.models import DataSettings
from pipeline.config.places import image_problems, nearest_existing
from pipeline.doctor.finding import Finding, ok, problem, warning

_GIB = 2**30
_DISK_NEEDED = 1 * _GIB
_DISK_WANTED = 5 * _GIB


def disk(place: Path) -> Finding:
    """Whether there is room for artifacts and models."""
    folder = nearest_existing(place)
    free = shutil.disk_usage(folder).free
    found = f"{free / _GIB:.1f} GiB free in {folder}"
    remedy = "make room, or move the pipeline with `--set infrastructure.root=FOLDER`"
    if free < _DISK_NEEDED:
        return problem("disk", found, remedy)
    return warning("disk", found, remedy) if free < _DISK_WANTED else ok("disk", found)


def photographs(data: DataSettings) -> Finding:
    """Whether there is something to learn from."""
    for text in image_problems(data):
        found, _, remedy = text.partition("; ")
        return problem("photographs", found, remedy)
    return ok("photographs", data.images)


def writable(what: str, folder: Path | str) -> Finding:
    """Whether files can be made in a folder, or the folder itself where it is missing; a bucket is not asked."""
    if isinstance(folder, str):
        return ok(what, f"{folder} (not tried: nothing is written to a bucket before a push)")
    existing = nearest_existing(folder)
    if not existing.is_dir():
        return problem(what, f"{existing} is a file", "move it away, or name another folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return problem(what, f"{existing} cannot be written: {error.strerror}", "mend its rights, or name another")
    return ok(what, str(folder) if existing == folder else f"{folder} (will be made)")
