"""Where things lie: Kubeflow speaks of places in an object store, and its launcher has put copies into local folders.

What lies at `minio://bucket/key` is read and written at `/minio/bucket/key`; the launcher fetches it before the command
starts, and uploads it when the command has ended well.
"""

import os
from dataclasses import dataclass
from typing import Any

from trainer.errors import ThawError

LOCAL_ROOT = "THAW_KUBEFLOW_LOCAL_ROOT"
"""Environment variable: the folder that stands in for /; for trying this out where / cannot be written."""

PART = "__"
"""Between a JSON property and a key in it: `settings__span` goes into `settings`, unless it is empty."""

_FOLDERS = {"minio://": "minio", "s3://": "s3", "gs://": "gcs"}
_NUM_PARTS_BELOW_ROOT = 4
"""Run, task, attempt and output: the names below a pipeline's folder in the store."""


def local_path(uri: str) -> str:
    """The local copy of a place in the store.

    Raises:
        ThawError: the place is in no store that the launcher copies from.
    """
    for scheme, folder in _FOLDERS.items():
        if uri.startswith(scheme):
            return os.path.join(os.environ.get(LOCAL_ROOT, "/"), folder, uri.removeprefix(scheme))
    raise ThawError(f"{uri!r} is in no store that Kubeflow's launcher copies from: {', '.join(_FOLDERS)}")


@dataclass(frozen=True)
class Places:
    """The pipeline's folder in the store, and its local copy.

    Attributes:
        uri: in the store; all runs of the pipeline lie below it.
    """

    uri: str

    @classmethod
    def around(cls, output_uri: str) -> "Places":
        """Those that hold an output: PIPELINE/RUN/TASK/ATTEMPT/OUTPUT."""
        return cls(output_uri.rsplit("/", _NUM_PARTS_BELOW_ROOT)[0])

    def to_local(self, value: Any) -> Any:
        """A text that names a place of this pipeline, as a local path; anything else as it is."""
        return self._moved(value, self.uri, local_path(self.uri))

    def to_store(self, value: Any) -> Any:
        """A text that names a local copy, as the place in the store; anything else as it is."""
        return self._moved(value, local_path(self.uri), self.uri)

    @staticmethod
    def _moved(value: Any, old: str, new: str) -> Any:
        is_inside = isinstance(value, str) and (value == old or value.startswith(f"{old}/"))
        return new + value[len(old) :] if is_inside else value
