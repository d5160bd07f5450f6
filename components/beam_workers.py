"""What a step must do for workers of Beam on other machines: put files where they can see them, and fetch theirs.

Such workers see neither the pipeline root of a laptop nor the folders into which Kubeflow's launcher copies artifacts.
What they read is copied to a folder of the workspace that is the step's own, they write there, and what they wrote is
copied back. What lies where they can see it stays where it is.
"""

import os
import socket
import traceback
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability import job_server
from tfx import types
from tfx.dsl.components.base import base_beam_executor

from components.whole_files import PARTIAL
from trainer.errors import ThawError

WORKSPACE_FLAG = "--thaw_workspace"
"""Flag for executors: the folder or bucket in which steps and workers exchange files."""

SHARED_FOLDER_FLAG = "--thaw_shared_folder"
"""Flag for executors, any number of times: a folder that workers see under the same path."""

_ENDPOINT_FLAG = "--job_endpoint"
_MAX_CONNECTING_S = 20.0
_MAX_WORDS = 500

Artifacts = Mapping[str, Sequence[types.Artifact]]


class _OwnOptions(PipelineOptions):
    """Keeps Beam from complaining of our flags: TFX asks it about them before an executor can take them out."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument(WORKSPACE_FLAG)
        parser.add_argument(SHARED_FOLDER_FLAG, action="append")


@dataclass(frozen=True)
class Sight:
    """What the workers of a step can see.

    Attributes:
        workspace: in which files are exchanged with them; None where they see all that the step sees.
        shared_folders: that they see under the same path.
        job_endpoint: of the job server that they work for; None where there is none.
    """

    workspace: str | None
    shared_folders: tuple[str, ...]
    job_endpoint: str | None

    def holds(self, place: str) -> bool:
        """Whether the workers see a place of this machine."""
        folders = (*self.shared_folders, *([self.workspace] if self.workspace else []))
        return self.workspace is None or any(PurePath(place).is_relative_to(folder) for folder in folders)


def sight_of(flags: Sequence[str]) -> tuple[Sight, list[str]]:
    """Takes our own flags out of those of Beam, which does not know them."""
    others = [flag for flag in flags if not flag.startswith((f"{WORKSPACE_FLAG}=", f"{SHARED_FOLDER_FLAG}="))]
    (workspace, *_), (endpoint, *_) = (*_said(flags, WORKSPACE_FLAG), None), (*_said(flags, _ENDPOINT_FLAG), None)
    return Sight(workspace, _said(flags, SHARED_FOLDER_FLAG), endpoint), others


def _said(flags: Sequence[str], name: str) -> tuple[str, ...]:
    return tuple(flag.removeprefix(f"{name}=") for flag in flags if flag.startswith(f"{name}="))


@contextmanager
def in_sight_of_workers(
    executor: base_beam_executor.BaseBeamExecutor, inputs: Artifacts, outputs: Artifacts
) -> Iterator[None]:
    """Inside the block, artifacts are where the workers of the executor's Beam pipelines see them.

    Args:
        executor: its flags for Beam tell who the workers are.
        inputs: those that workers read.
        outputs: those that workers write; each is empty before.

    Raises:
        ThawError: the workspace is not mounted, no job server answers, or the job has failed.
    """
    sight, executor._beam_pipeline_args = sight_of(executor._beam_pipeline_args)
    if sight.workspace is not None:
        _check_workspace(sight.workspace)
    if sight.job_endpoint is not None:
        _connect(sight.job_endpoint)
    with _failures_in_words(sight), _moved(sight, _artifacts(inputs), _artifacts(outputs)):
        yield
        for artifact in _artifacts(outputs):
            _sweep(artifact.uri)


def _artifacts(artifacts: Artifacts) -> list[types.Artifact]:
    return [artifact for listed in artifacts.values() for artifact in listed]


@contextmanager
def _moved(sight: Sight, inputs: list[types.Artifact], outputs: list[types.Artifact]) -> Iterator[None]:
    hidden_inputs = [artifact for artifact in inputs if not sight.holds(artifact.uri)]
    hidden_outputs = [artifact for artifact in outputs if not sight.holds(artifact.uri)]
    hidden = [*hidden_inputs, *hidden_outputs]
    if sight.workspace is None or not hidden:
        yield
        return
    homes = [artifact.uri for artifact in hidden]
    # A name of its own for each attempt: workers of one that was killed may still be writing.
    folder = os.path.join(sight.workspace, f"thaw-{uuid.uuid4().hex}")
    abroad = [os.path.join(folder, str(number)) for number in range(len(hidden))]
    try:
        for place in abroad:
            tf.io.gfile.makedirs(place)
        for artifact, place in zip(hidden_inputs, abroad, strict=False):
            _copy(artifact.uri, place)
        _rename(hidden, abroad)
        yield
        for home, artifact in zip(homes[len(hidden_inputs) :], hidden_outputs, strict=True):
            _copy(artifact.uri, home)
    finally:
        _rename(hidden, homes)
        _rename_in_properties(outputs, dict(zip(abroad, homes, strict=True)))
        if tf.io.gfile.isdir(folder):
            tf.io.gfile.rmtree(folder)


def _rename(artifacts: Sequence[types.Artifact], places: Sequence[str]) -> None:
    for artifact, place in zip(artifacts, places, strict=True):
        artifact.uri = place


def _rename_in_properties(artifacts: Sequence[types.Artifact], homes: Mapping[str, str]) -> None:
    """A blessing names the models that it is about."""
    for artifact in artifacts:
        for value in artifact.mlmd_artifact.custom_properties.values():
            if value.string_value in homes:
                value.string_value = homes[value.string_value]


def _copy(source: str, target: str) -> None:
    """All files of a folder, without what is not whole."""
    for folder, _, names in tf.io.gfile.walk(source):
        place = os.path.join(target, os.path.relpath(folder, source)) if folder.rstrip("/") != source else target
        tf.io.gfile.makedirs(place)
        for name in names:
            if not name.endswith(PARTIAL):
                tf.io.gfile.copy(os.path.join(folder, name), os.path.join(place, name), overwrite=True)


def _sweep(folder: str) -> None:
    """Removes what workers have left half-written: those whose work a runner has given to another one."""
    for name in tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else ():
        if name.endswith(PARTIAL):
            tf.io.gfile.remove(os.path.join(folder, name))


def _check_workspace(workspace: str) -> None:
    """A folder that is made where none is mounted would be seen by nobody else."""
    above = os.path.dirname(workspace)
    if "://" not in workspace and not os.path.isdir(workspace) and (above == "/" or not os.path.isdir(above)):
        raise ThawError(
            f"there is no folder {workspace!r} here, infrastructure.beam.workspace; mount it here and where Beam's "
            "workers run, under the same path"
        )


def _connect(endpoint: str) -> None:
    """Fails soon where no job server listens; Beam itself would wait for as long as a job may last."""
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_MAX_CONNECTING_S).close()  # tells at once what is refused
        job_server.ExternalJobServer(endpoint, _MAX_CONNECTING_S).start()
    except Exception as error:  # gRPC's time-out is no other
        reason = str(error) or f"what listens there does not speak gRPC within {_MAX_CONNECTING_S:g} s"
        raise ThawError(
            f"no Beam job server answers at {endpoint!r} ({reason}); start it, or set infrastructure.beam.job_endpoint "
            "to where it listens"
        ) from None


@contextmanager
def _failures_in_words(sight: Sight) -> Iterator[None]:
    """A job server hands its failures over as text, with the worker's stack trace in it."""
    try:
        yield
    except Exception as error:
        if sight.job_endpoint is None or not _is_of_the_runner(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        words = (lines or ["it does not say why"])[-1][:_MAX_WORDS]
        raise ThawError(
            f"the job on the Beam job server {sight.job_endpoint!r} failed: {words}; the logs of the runner and of its "
            "workers hold the rest"
        ) from error


def _is_of_the_runner(error: BaseException) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").startswith("apache_beam.runners.portability") for frame, _ in frames)
