"""Publishing a SavedModel so that a model server never sees half of one."""

import filecmp
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from components.gate.report import model_card
from trainer.errors import ThawError
from trainer.export import is_complete
from trainer.files import flush

_ABANDONED_AFTER_S = 24 * 60 * 60


@dataclass(frozen=True)
class Publication:
    """Where a model is published, and whether that is a new version."""

    folder: Path
    is_new: bool


def publish(saved_model: str, destination: str) -> Publication:
    """Makes a SavedModel the newest version in `destination`, unless it is that already.

    The copy is made under a name that TensorFlow Serving ignores, since it is not a number, flushed to disk, and
    renamed when it is whole. Two publishers at once get different numbers.

    Args:
        saved_model: folder of a complete SavedModel.
        destination: folder of the versions; made where it is missing.

    Returns:
        The folder of the version; a new one has a number one higher than the highest there.

    Raises:
        ThawError: the source is not complete, or the destination cannot be written.
    """
    if not is_complete(saved_model):
        raise ThawError(
            f"{saved_model!r} is not a complete SavedModel (saved_model.pb and variables); nothing was pushed"
        )
    versions = Path(destination)
    partial = versions / f".partial-{os.getpid()}"
    try:
        newest = _newest(versions)
        if newest is not None and _is_same(Path(saved_model), newest):
            return Publication(newest, is_new=False)
        versions.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(versions)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(saved_model, partial)
        _flush_files(partial)
        return Publication(_rename_to_next_version(partial, versions), is_new=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ThawError(f"cannot push to {destination!r}: {error.strerror or error}; nothing was published") from error


def _remove_abandoned(versions: Path) -> None:
    """Removes what killed publishers have left; a copy that is a day old is not being written any more."""
    for path in versions.glob(".partial-*"):
        try:
            age_s = time.time() - path.stat().st_mtime
        except FileNotFoundError:  # its publisher has just given it its number
            continue
        if age_s > _ABANDONED_AFTER_S:
            shutil.rmtree(path, ignore_errors=True)


def _newest(versions: Path) -> Path | None:
    numbered = [path for path in versions.iterdir() if path.name.isdecimal()] if versions.is_dir() else []
    return max(numbered, key=lambda path: int(path.name), default=None)


def _is_same(left: Path, right: Path) -> bool:
    """Whether two folders hold the same files with the same bytes, whatever their model cards say."""
    files = _files(left)
    return files == _files(right) and all(filecmp.cmp(left / name, right / name, shallow=False) for name in files)


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != model_card.FILE_NAME
    )


def _rename_to_next_version(partial: Path, versions: Path) -> Path:
    while True:
        newest = _newest(versions)
        target = versions / str(int(newest.name) + 1 if newest else 1)
        try:
            # An existing folder that is not empty makes the rename fail, so a version is never replaced.
            partial.rename(target)
        except OSError:
            if not target.exists():
                raise
            continue
        flush(versions)
        return target


def _flush_files(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            flush(path)
