"""Files in buckets: s3:// and gs://, through fsspec.

Credentials come from the environment in the ways that are usual there (`AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, a role;
`GOOGLE_APPLICATION_CREDENTIALS`, a service account), and `AWS_ENDPOINT_URL` names another server that speaks S3.
Nothing of them is in the configuration.

Tried against servers that speak S3 and Google Cloud Storage.
"""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.sources.access import RandomAccess, checked_size, refusing
from components.image_example_gen.sources.entry import Value
from components.image_example_gen.sources.stores import StoredFile, joined
from trainer.errors import ThawError

SCHEMES = ("s3", "gs")
_VERSIONS = ("generation", "ETag", "etag", "LastModified")
_NUM_ASKED_FOR_EACH = 16


def is_in_bucket(place: str) -> bool:
    """Whether a place is a URL of a bucket, not a path here."""
    return place.split("://")[0] in SCHEMES and "://" in place


def file_system(url: str) -> Any:
    """The fsspec file system of a URL, one for each process.

    Raises:
        ThawError: the scheme is none of `SCHEMES`.
    """
    import fsspec

    scheme = url.split("://")[0]
    if scheme not in SCHEMES:
        raise ThawError(f"cannot read {url!r}: it must be a local path, or begin with s3:// or gs://")
    # fsspec keeps one for each set of arguments and process. Its listings would be stale in a process that lives long.
    return fsspec.filesystem(scheme, use_listings_cache=False)


@dataclass(frozen=True)
class BucketFile:
    """An object in a bucket, read by ranges."""

    url: str
    known_num_bytes: int | None = None
    buffer_bytes: int = 4 << 20

    def num_bytes(self) -> int:
        return int(self._info["size"]) if self.known_num_bytes is None else self.known_num_bytes

    def version(self) -> str:
        return _version(self._info)

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.num_bytes())
        if end <= offset:  # a server answers an empty range with an error
            return b""
        with _telling(self.url):
            content: bytes = file_system(self.url).cat_file(_key(self.url), start=offset, end=end)
        return content

    @functools.cached_property
    def _info(self) -> dict[str, Any]:
        """Asked for once: an archive is read in thousands of ranges."""
        with _telling(self.url):
            info: dict[str, Any] = file_system(self.url).info(_key(self.url))
        return {name: str(info[name]) for name in ("size", *_VERSIONS) if info.get(name)}


@dataclass(frozen=True)
class BucketStore:
    """All objects below a URL."""

    name: str
    kind: str = field(default="bucket folder", repr=False)

    def list_files(self, max_depth: int | None = None) -> Iterator[StoredFile]:
        files = [*self._objects()]
        if not files:
            raise ThawError(f"there is nothing in {self.name!r}; set data.images to what holds the photographs")
        return iter(files)

    def find(self, paths: Sequence[str]) -> dict[str, StoredFile]:
        wanted = set(paths)
        files = self._objects() if len(wanted) > _NUM_ASKED_FOR_EACH else self._each(wanted)
        return {file.path: file for file in files if file.path in wanted}

    def read(self, path: str, place: tuple[Value, ...], max_bytes: int) -> bytes:
        num_bytes = int(place[0]) if place else None
        if num_bytes is not None and num_bytes > max_bytes:
            raise Refusal(Reason.TOO_MANY_BYTES, f"{num_bytes} bytes are more than the {max_bytes} allowed")
        with refusing():
            return checked_size(self.open(path, place).read_at(0, max_bytes + 1), max_bytes)

    def open(self, path: str, place: tuple[Value, ...]) -> RandomAccess:
        return BucketFile(joined(self.name, path), int(place[0]) if place else None)

    def _each(self, paths: Iterable[str]) -> Iterator[StoredFile]:
        """Asks for a few objects, where listing all would take longer."""
        for path in paths:
            file = BucketFile(joined(self.name, path))
            with contextlib.suppress(FileNotFoundError):
                yield StoredFile(path, file.version(), (file.num_bytes(),))

    def _objects(self) -> Iterator[StoredFile]:
        root = _key(self.name)
        try:
            with _telling(self.name):
                found: dict[str, dict[str, Any]] = file_system(self.name).find(root, detail=True)
        except FileNotFoundError:
            raise ThawError(f"there is no bucket for {self.name!r}; set data.images to one that exists") from None
        except PermissionError as error:
            raise ThawError(f"may not list {self.name!r}: {error}; check the credentials in the environment") from None
        for key, info in found.items():
            path = key.removeprefix(f"{root}/")
            if key != root and not path.endswith("/"):  # consoles make an empty object for each "folder"
                yield StoredFile(path, _version(info), (int(info["size"]),))


def exists(url: str) -> bool:
    """Whether there is an object of that name, or any below it; asks for one name, not for all.

    Raises:
        ThawError: the bucket cannot be asked.
    """
    with _telling(url):
        try:
            return bool(file_system(url).exists(_key(url)))
        except PermissionError as error:
            raise ThawError(f"may not read {url!r}: {error}; check the credentials in the environment") from None


def list_names(url: str) -> list[tuple[str, bool]]:
    """What lies directly in a place of a bucket: (name, whether more lies below it).

    Raises:
        ThawError: the bucket cannot be listed.
    """
    with _telling(url):
        try:
            found = file_system(url).ls(_key(url), detail=True)
        except FileNotFoundError:
            return []
        except PermissionError as error:
            raise ThawError(f"may not list {url!r}: {error}; check the credentials in the environment") from None
    return [(item["name"].rstrip("/").rpartition("/")[2], item["type"] == "directory") for item in found]


@contextlib.contextmanager
def _telling(url: str) -> Iterator[None]:
    """Says in words that a bucket did not answer: no photograph is refused because a network was down.

    Raises:
        FileNotFoundError, PermissionError: of this one object.
        ThawError: anything else.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, ThawError):
        raise
    except Exception as error:  # botocore, aiohttp and gcsfs each have their own
        what = " ".join(str(error).split()) or type(error).__name__
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        at = f" at {endpoint}" if endpoint and url.startswith("s3:") else ""
        raise ThawError(
            f"cannot read {url!r}{at}: {what[:300]}; check the network and the credentials in the environment"
        ) from error


def _key(url: str) -> str:
    return url.partition("://")[2].rstrip("/")


def _version(info: dict[str, Any]) -> str:
    mark = next((info[name] for name in _VERSIONS if info.get(name)), "")
    return f"{info['size']}-{str(mark).strip(chr(34))}"
