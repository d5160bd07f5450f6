"""Publishing a SavedModel so that a model server never sees half of one: to a folder here, or to a bucket."""

import filecmp
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from components.pusher.buckets import Bucket, OtherFiles, is_in_bucket, is_of_the_model
from trainer.errors import ThawError
from trainer.files import flush
from trainer.saved_models import is_complete

_ABANDONED_AFTER_S = 24 * 60 * 60


@dataclass(frozen=True)
class Publication:
    """Where a model is published, and whether that is a new version.

    Attributes:
        uri: folder of the version, or its URL in a bucket.
        is_new: whether it was made now.
    """

    uri: str
    is_new: bool

    @property
    def version(self) -> str:
        """Its number."""
        return self.uri.rpartition("/")[2]

    @property
    def folder(self) -> Path:
        """Of a version on this machine."""
        return Path(self.uri)


def publish(saved_model: str, destination: str, others: OtherFiles | None = None) -> Publication:
    """Makes a SavedModel the newest version in `destination`, unless it is that already.

    The copy is made under a name that TensorFlow Serving ignores, since it is not a number, flushed to disk, and
    renamed when it is whole. Two publishers at once get different numbers.

    Args:
        saved_model: folder of a complete SavedModel.
        destination: folder of the versions, made where it is missing; or a place in a bucket, s3://… or gs://….
        others: texts that the version has beside its model, by path, given its number; they come with it, all at once.

    Returns:
        The place of the version; a new one has a number one higher than the highest there.

    Raises:
        ThawError: the source is not complete, or the destination cannot be written.
    """
    if not is_complete(saved_model):
        raise ThawError(
            f"{saved_model!r} is not a complete SavedModel (saved_model.pb and variables); nothing was pushed"
        )
    if is_in_bucket(destination):
        return _publish_to_bucket(saved_model, destination, others)
    versions = Path(destination)
    partial = versions / f".partial-{os.getpid()}"
    try:
        newest = _newest(versions)
        if newest is not None and _is_same(Path(saved_model), newest):
            return Publication(str(newest), is_new=False)
        versions.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(versions)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(saved_model, partial)
        _flush_files(partial)
        return Publication(str(_rename_to_next_version(partial, versions, others)), is_new=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ThawError(f"cannot push to {destination!r}: {error.strerror or error}; nothing was published") from error


def _publish_to_bucket(saved_model: str, destination: str, others: OtherFiles | None) -> Publication:
    bucket = Bucket(destination)
    try:
        number, is_new = bucket.publish(Path(saved_model), others)
    except Exception as error:  # botocore, aiohttp and gcsfs each have their own
        what = " ".join(str(error).split()) or type(error).__name__
        raise ThawError(
            f"cannot push to {destination!r}: {what[:300]}; check the bucket and the credentials in the environment"
        ) from error
    return Publication(bucket.version_url(number), is_new)


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
    """Whether two folders hold the same files with the same bytes, whatever is said beside the model."""
    files = _files(left)
    return files == _files(right) and all(filecmp.cmp(left / name, right / name, shallow=False) for name in files)


def _files(folder: Path) -> list[str]:
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(filter(is_of_the_model, names))


def _rename_to_next_version(partial: Path, versions: Path, others: OtherFiles | None) -> Path:
    while True:
        newest = _newest(versions)
        target = versions / str(int(newest.name) + 1 if newest else 1)
        for name, text in (others(target.name) if others else {}).items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(text, encoding="utf-8")
            flush(partial / name)
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
