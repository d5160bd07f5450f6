"""Publishing a SavedModel to s3:// or gs://, where nothing can be renamed.

All files are uploaded under a name that model servers ignore, then copied inside the store to their number, the graph
last: until `saved_model.pb` is there, the folder is no model. The number is claimed before by an object that is made
only if it is not there yet, so two publishers never write the same version. When the version is whole, that object gets
the digests of its files.

Tried against servers that speak S3 and Google Cloud Storage.
"""

import contextlib
import hashlib
import json
import os
import posixpath
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.release_names import MANIFEST, MODEL_CARD
from trainer.errors import ThawError
from trainer.files import sha256_of

SCHEMES = ("s3", "gs")
_CLAIMS = ".thaw-versions"
_PARTIAL = ".thaw-partial-"
_GRAPH = "saved_model.pb"
_BESIDE_THE_MODEL = (MODEL_CARD, MANIFEST)
_ABANDONED_AFTER_S = 24 * 60 * 60

OtherFiles = Callable[[str], Mapping[str, str]]
"""Texts that a version has beside its model, by their path in it, given its number."""


def is_in_bucket(place: str) -> bool:
    """Whether a place is a URL of a bucket."""
    return place.partition("://")[0] in SCHEMES and "://" in place


@contextlib.contextmanager
def reading(what: str, remedy: str) -> Iterator[None]:
    """Says in words that a bucket could not be read.

    Args:
        what: is read.
        remedy: what to do about it.

    Raises:
        ThawError: in the words of the store.
    """
    try:
        yield
    except ThawError:
        raise
    except Exception as error:  # botocore, aiohttp and gcsfs each have their own
        words = " ".join(str(error).split()) or type(error).__name__
        raise ThawError(f"cannot read {what}: {words[:300]}; {remedy}") from error


@dataclass(frozen=True)
class Bucket:
    """A folder of versions in a bucket.

    Attributes:
        url: such as s3://bucket/serving/digits.
    """

    url: str

    @property
    def _key(self) -> str:
        return self.url.partition("://")[2].rstrip("/")

    @property
    def _store(self) -> Any:
        import fsspec

        return fsspec.filesystem(self.url.partition("://")[0], use_listings_cache=False)

    def version_url(self, number: int) -> str:
        """Of one version."""
        return f"{self.url.rstrip('/')}/{number}"

    def files(self, number: int) -> dict[str, int]:
        """Sizes of the files of a version, by their path in it."""
        return self._below(f"{self._key}/{number}")

    def numbers(self) -> list[int]:
        """Of all versions that have any file, highest first."""
        return sorted({int(name) for name in self._names(self._key) if name.isdecimal()}, reverse=True)

    def is_whole(self, number: int) -> bool:
        """Whether a version has its graph, which comes last."""
        return _GRAPH in self.files(number)

    def digests(self, number: int) -> dict[str, str] | None:
        """Hex sha256 of each file of a version that was published whole; None of any other."""
        try:
            said = json.loads(self._store.cat_file(f"{self._key}/{_CLAIMS}/{number}.json"))
        except FileNotFoundError:
            return None
        return said.get("files")

    def text(self, number: int, name: str) -> str:
        """A small file of a version; "" where there is none."""
        try:
            return str(self._store.cat_file(f"{self._key}/{number}/{name}"), "utf-8")
        except FileNotFoundError:
            return ""

    def download(self, number: int, folder: Path) -> None:
        """Copies a version into a folder here."""
        for name in self.files(number):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.get_file(f"{self._key}/{number}/{name}", str(path))

    def publish(self, saved_model: Path, others: OtherFiles | None = None) -> tuple[int, bool]:
        """Makes a SavedModel the newest version, unless it is that already.

        Args:
            saved_model: its folder.
            others: see `OtherFiles`.

        Returns:
            The number of the version, and whether it is new.

        Raises:
            OSError: the bucket refuses.
        """
        digests = {name: sha256_of(saved_model / name) for name in _files(saved_model)}
        newest = next((number for number in self.numbers() if self.is_whole(number)), None)
        if newest is not None and _of_model(self.digests(newest) or {}) == _of_model(digests):
            return newest, False
        self._remove_abandoned()
        partial = f"{self._key}/{_PARTIAL}{int(time.time())}-{uuid.uuid4().hex}"
        try:
            uploaded = list(digests)
            for name in uploaded:
                self._store.put_file(str(saved_model / name), f"{partial}/{name}")
            number = self._claim()
            digests |= self._write(number, others(str(number)) if others else {})
            for name in sorted(uploaded, key=lambda name: (name == _GRAPH, name)):
                self._store.cp_file(f"{partial}/{name}", f"{self._key}/{number}/{name}")
        finally:
            self._remove(partial)
        claim = json.dumps({"files": digests}, indent=2).encode()
        self._store.pipe_file(f"{self._key}/{_CLAIMS}/{number}.json", claim)
        return number, True

    def remove(self) -> None:
        """Removes all versions, and what is kept of them."""
        self._remove(self._key)

    def _write(self, number: int, texts: Mapping[str, str]) -> dict[str, str]:
        """Writes texts into a version; returns their hex sha256."""
        for name, text in texts.items():
            self._store.pipe_file(f"{self._key}/{number}/{name}", text.encode())
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}

    def _claim(self) -> int:
        """The first number above all that are taken, ours from now on."""
        while True:
            claimed = [int(name.removesuffix(".json")) for name in self._names(f"{self._key}/{_CLAIMS}")]
            number = max([*self.numbers(), *claimed], default=0) + 1
            try:
                content = json.dumps({"claimed_by_process": os.getpid()}).encode()
                self._store.pipe_file(f"{self._key}/{_CLAIMS}/{number}.json", content, mode="create")
                return number
            except FileExistsError:
                continue

    def _remove_abandoned(self) -> None:
        """Removes what killed publishers have left; an upload that began a day ago is not going on any more."""
        for name in self._names(self._key):
            begun = name.removeprefix(_PARTIAL).partition("-")[0]
            if name.startswith(_PARTIAL) and begun.isdecimal() and time.time() - int(begun) > _ABANDONED_AFTER_S:
                self._remove(f"{self._key}/{name}")

    def _remove(self, key: str) -> None:
        found = self._below(key)
        if found:
            self._store.rm([f"{key}/{name}" for name in found])

    def _names(self, key: str) -> Iterator[str]:
        try:
            found = self._store.ls(key, detail=False)
        except FileNotFoundError:
            return
        yield from (posixpath.basename(name.rstrip("/")) for name in found)

    def _below(self, key: str) -> dict[str, int]:
        found = self._store.find(key, detail=True)
        return {name.removeprefix(f"{key}/"): int(info["size"]) for name, info in found.items() if name != key}


def is_of_the_model(name: str) -> bool:
    """Whether a file makes a version what it is; what tells of the run does not: another may make the same model."""
    return posixpath.basename(name) not in _BESIDE_THE_MODEL


def _of_model(digests: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in digests.items() if is_of_the_model(name)}


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
