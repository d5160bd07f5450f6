"""How KServe serves what is pushed: what is configured, and where a model server finds a version."""

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from components.kubernetes import Cpu, ObjectName, OnClaim, Quantity, Volume, on_claim
from components.pusher.buckets import is_in_bucket
from trainer.base_settings import Settings
from trainer.errors import ThawError

RUNTIME_VERSION = "2.21.0"
"""TensorFlow Serving of the TensorFlow that exports; KServe 0.20 brings 2.6.2, which need not know its operations."""

_NAME = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_NUM_CHARACTERS = 53
"""KServe names a Deployment and a Service after it, with `-predictor`, and these may have 63."""

_FLAG = re.compile(r"^--[a-z][a-z0-9_]*(=.*)?$")
_TAKEN = ("--model_name", "--model_base_path", "--port", "--rest_api_port", "--model_config_file")


class ServingSettings(Settings):
    """How KServe serves a pushed version; each one gets a manifest of its InferenceService.

    Attributes:
        name: of the InferenceService, and of the model in requests; null for `name` of the configuration.
        namespace: that it is made in; null for the one that kubectl is told.
        service_account: that the server runs as: with s3:// and gs:// KServe finds the credentials by it; null for the
            namespace's default.
        runtime: the (cluster) serving runtime of KServe, which must be TensorFlow Serving.
        runtime_version: tag of its image, without -gpu; null for the runtime's own.
        arguments: further ones for TensorFlow Serving, such as --enable_batching=true.
        cpu: cores: requested, and the limit.
        memory: such as "2Gi": requested, and the limit.
        gpus: number of nvidia.com/gpu; the image is then that with -gpu.
        min_replicas: the fewest servers.
        max_replicas: the most; null for as many as the fewest.
    """

    name: str | None = None
    namespace: ObjectName | None = None
    service_account: ObjectName | None = None
    runtime: ObjectName = "kserve-tensorflow-serving"
    runtime_version: Annotated[str, Field(pattern=r"^[\w][\w.-]*$", max_length=123)] | None = RUNTIME_VERSION
    arguments: Annotated[tuple[str, ...], Field(strict=False)] = ()
    cpu: Cpu = "1"
    memory: Quantity = "2Gi"
    gpus: Annotated[int, Field(ge=0)] = 0
    min_replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: Annotated[int, Field(ge=1)] | None = None

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str | None) -> str | None:
        if name is not None:
            check_name(name)
        return name

    @field_validator("arguments")
    @classmethod
    def _are_flags(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        for argument in arguments:
            if not _FLAG.match(argument):
                raise ValueError(f"{argument!r} is no flag of TensorFlow Serving; they look like --name=value")
            if argument.partition("=")[0] in _TAKEN:
                raise ValueError(f"{argument!r} is what KServe's runtime says itself, and the manifest relies on")
        return arguments

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas is {self.max_replicas}, less than min_replicas, {self.min_replicas}")
        if self.gpus and self.runtime_version is None:
            raise ValueError(
                f"gpus is {self.gpus}, and runtime_version null; the image for GPUs must be named: say one"
            )
        return self


class ModelServer(Settings):
    """`ServingSettings` with what else of the configuration it takes to write a manifest.

    Attributes:
        name: of the InferenceService.
        settings: what is configured.
        volumes: that Pusher mounts.
    """

    name: str
    settings: ServingSettings
    volumes: Annotated[tuple[Volume, ...], Field(strict=False)] = ()

    def source_of(self, destination: str) -> OnClaim | str:
        """Where a model server finds the folder of the versions: on a claim, or by its URL.

        Args:
            destination: a path in Pusher's container, or a place in a bucket.

        Raises:
            ThawError: no volume is mounted there, or KServe cannot name the place.
        """
        if is_in_bucket(destination):
            odd = sorted(set("?#") & set(destination))
            if odd:
                raise ThawError(
                    f"push_destination {destination!r} has {odd[0]!r}, which KServe takes for the end of the path; "
                    "choose a place without it, or leave infrastructure.serving out"
                )
            return destination.rstrip("/")
        found = on_claim(destination, self.volumes)
        if found is None:
            mounted = ", ".join(f"{volume.claim} at {volume.mount_path}" for volume in self.volumes) or "none"
            raise ThawError(
                f"push_destination {destination!r} is on no volume that Pusher mounts ({mounted}), so a model server "
                "cannot reach what is pushed; mount one, as in infrastructure.kubeflow.steps.Pusher.volumes="
                "[{claim: serving, mount_path: /serving}], push to s3:// or gs://, or leave infrastructure.serving out"
            )
        return found


def check_name(name: str) -> None:
    """Whether an InferenceService may be named so.

    Raises:
        ValueError: it may not.
    """
    if not _NAME.match(name) or len(name) > _NUM_CHARACTERS:
        raise ValueError(
            f"{name!r} cannot name an InferenceService: at most {_NUM_CHARACTERS} lower-case letters, digits and "
            "hyphens, with a letter first and no hyphen last"
        )
