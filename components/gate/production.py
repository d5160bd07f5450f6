"""The production model: what a model server answers with now."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from components.pusher.buckets import Bucket, is_in_bucket, reading
from trainer.files import sha256_of
from trainer.saved_models import is_complete
from trainer.warm_start import FOLDER as WARM_START_FOLDER

_GRAPH = "saved_model.pb"


@dataclass(frozen=True)
class ProductionModel:
    """A version in the push destination.

    Attributes:
        uri: folder of its SavedModel, or its URL in a bucket.
        sha256: see `fingerprint`.
    """

    uri: str
    sha256: str

    @contextlib.contextmanager
    def here(self) -> Iterator[Path]:
        """Its folder; that of a bucket is downloaded, and removed at the end.

        Raises:
            ThawError: the bucket cannot be read.
        """
        if not is_in_bucket(self.uri):
            yield Path(self.uri)
            return
        destination, _, number = self.uri.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="thaw-production-") as parent:
            folder = Path(parent, number)
            with _reading(self.uri):
                Bucket(destination).download(int(number), folder)
            yield folder


def find_production(push_destination: str, candidate: str) -> ProductionModel | None:
    """The newest complete version that is not the candidate itself.

    A candidate that has been pushed already is held against what it replaced, so that the same run comes to the same
    verdict.

    Args:
        push_destination: folder of numbered versions, or a place in a bucket.
        candidate: folder of the candidate's SavedModel.

    Raises:
        ThawError: the bucket cannot be read.
    """
    if is_in_bucket(push_destination):
        with _reading(push_destination):
            return _find_in_bucket(Bucket(push_destination), fingerprint(candidate))
    destination = Path(push_destination)
    numbered = [path for path in destination.iterdir() if path.name.isdecimal()] if destination.is_dir() else []
    own = fingerprint(candidate)
    for folder in sorted(numbered, key=lambda path: int(path.name), reverse=True):
        if is_complete(str(folder)) and (found := fingerprint(folder)) != own:
            return ProductionModel(str(folder), found)
    return None


def _find_in_bucket(bucket: Bucket, own: str) -> ProductionModel | None:
    for number in bucket.numbers():
        if not bucket.is_whole(number):
            continue
        digests = bucket.digests(number)
        found = _fingerprint_of(digests) if digests else _fingerprint_by_download(bucket, number)
        if found not in (None, own):
            return ProductionModel(bucket.version_url(number), str(found))
    return None


def _fingerprint_by_download(bucket: Bucket, number: int) -> str | None:
    """Of a version that another program has put there; None where it is not complete."""
    with tempfile.TemporaryDirectory(prefix="thaw-production-") as parent:
        bucket.download(number, Path(parent))
        return fingerprint(parent) if is_complete(parent) else None


def _reading(url: str) -> AbstractContextManager[None]:
    return reading(f"the production model in {url!r}", "check the credentials in the environment")


def fingerprint(saved_model: str | Path) -> str:
    """Hex sha256 of a SavedModel's graph, weights and assets, whatever lies in `assets.extra` beside them."""
    folder = Path(saved_model)
    parts = [folder / _GRAPH, *folder.glob("variables/*"), *folder.glob("assets/*")]
    return _fingerprint_of({path.relative_to(folder).as_posix(): sha256_of(path) for path in parts if path.is_file()})


def _fingerprint_of(digests: dict[str, str]) -> str:
    lines = sorted(f"{name}\0{digest}" for name, digest in digests.items() if _is_of_the_model(name))
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _is_of_the_model(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return name == _GRAPH or (folder in ("variables", "assets") and "/" not in rest)


def size_mib(saved_model: str | Path) -> float:
    """Size of all files of a SavedModel but the weights for a warm start, which no server reads."""
    folder = Path(saved_model)
    beside = folder / WARM_START_FOLDER
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(beside))
    return sum(path.stat().st_size for path in files) / 2**20
