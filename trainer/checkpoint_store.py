"""Checkpoints beyond this machine: a copy of each in an object store, from which another machine goes on."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from trainer.errors import ThawError

DIGESTS = "sha256.json"
"""The file of a checkpoint that is uploaded last: without it, the checkpoint is not whole."""

_NUM_FETCHED = 2
_SAME_PROTOCOL = {"minio://": "s3://"}


class CheckpointStore:
    """A folder in an object store, such as s3://bucket/path, for the checkpoints of one training.

    Objects appear whole or not at all, and the one that lists the others' digests comes last. So whoever fetches finds
    checkpoints that were uploaded to their end. Credentials and endpoint are taken from the environment.
    """

    def __init__(self, uri: str) -> None:
        """Names the store; nothing is opened.

        Args:
            uri: of the folder: s3://, gs://, minio:// (S3's protocol, at the endpoint in AWS_ENDPOINT_URL), or any
                other that fsspec knows.
        """
        self.uri = uri

    def fetch(self, folder: Path) -> None:
        """Copies the newest checkpoints that are whole into a folder, and sees whether the store can be written.

        Raises:
            ThawError: it cannot be read or written: a training that cannot save should not begin.
        """
        with self._explained():
            system, root = self._open()
            system.pipe_file(f"{root}/.writable", b"")
            whole = sorted(path.split("/")[-2] for path in system.glob(f"{root}/*/{DIGESTS}"))
            for name in whole[-_NUM_FETCHED:]:
                _fetch(system, f"{root}/{name}", folder, name)

    def put(self, checkpoint: Path) -> None:
        """Uploads a checkpoint; one that fails is warned of, and the training goes on to the next."""
        try:
            system, root = self._open()
            for path in sorted(checkpoint.iterdir(), key=lambda path: path.name == DIGESTS):
                system.put_file(str(path), f"{root}/{checkpoint.name}/{path.name}")
        except Exception as error:
            warnings.warn(f"checkpoint {checkpoint.name} cannot be copied to {self.uri} ({error})", stacklevel=2)

    def remove(self, name: str) -> None:
        """Removes a checkpoint, the digests first; one that fails is warned of."""
        try:
            system, root = self._open()
            files = sorted(system.ls(f"{root}/{name}", detail=False), key=lambda path: not path.endswith(DIGESTS))
            for path in files:
                system.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:
            warnings.warn(f"checkpoint {name} cannot be removed from {self.uri} ({error})", stacklevel=2)

    def _open(self) -> tuple[Any, str]:
        uri = self.uri
        for scheme, real in _SAME_PROTOCOL.items():
            uri = real + uri.removeprefix(scheme) if uri.startswith(scheme) else uri
        system, root = fsspec.url_to_fs(uri)
        system.invalidate_cache()
        return system, root.rstrip("/")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise ThawError(
                f"checkpoints cannot be kept at {self.uri}: {type(error).__name__}: {error}; give this step "
                "credentials and, for minio://, AWS_ENDPOINT_URL in its environment; or let "
                "infrastructure.kubeflow.checkpoints be the path of a mounted volume, or none"
            ) from error


def _fetch(system: Any, source: str, folder: Path, name: str) -> None:
    """Under another name until all of it is there."""
    if (folder / name).exists():
        return
    partial = folder / f".being-fetched-{name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for path in system.ls(source, detail=False):
        system.get_file(path, str(partial / path.rsplit("/", maxsplit=1)[-1]))
    partial.rename(folder / name)
