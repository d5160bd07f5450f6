"""What a configuration says of Kubeflow Pipelines: images, resources and places of the steps, by step."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.kubernetes import Cpu, MountPath, ObjectName, Quantity, Volume
from trainer.settings import Settings

StepName = Literal[
    "ImageExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "FineTuner",
    "Evaluator",
    "Gate",
    "Pusher",
]

NEVER_CACHED: tuple[StepName, ...] = ("ImageExampleGen", "Gate", "Pusher")
"""What they do depends on what Kubeflow's cache does not see: the photographs, and what is in production."""

_SHARED_MEMORY_OF_GPUS = "2Gi"
_LOOKS_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE|(ACCESS|API)_?KEY")

_NAMES_A_FILE = re.compile(r"^GOOGLE_APPLICATION_CREDENTIALS$|_FILE$")
"""Variables whose value is the path of a secret, which is none."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Secret(Settings):
    """A Kubernetes secret, as environment variables or as files. Its values never enter the compiled pipeline.

    Attributes:
        name: of the secret.
        environment: the variable that each key of the secret becomes.
        mount_path: where its keys appear as files.
    """

    name: ObjectName
    environment: dict[str, VariableName] = {}
    mount_path: MountPath | None = None

    @model_validator(mode="after")
    def _is_used_one_way(self) -> Self:
        if bool(self.environment) == (self.mount_path is not None):
            raise ValueError(
                f"secret {self.name!r} must have either environment, such as {{accesskey: AWS_ACCESS_KEY_ID}}, or "
                "mount_path"
            )
        return self


class Toleration(Settings):
    """A taint that the step's pod tolerates.

    Attributes:
        key: of the taint; null tolerates all, with operator Exists.
        operator: Equal or Exists.
        value: of the taint, for Equal.
        effect: null for all.
        seconds: how long NoExecute is tolerated; null for ever.
    """

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"operator is Exists, so value {self.value!r} has no effect; leave it out")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("a toleration without key needs operator Exists")
        return self


class StepSettings(Settings):
    """What a step's pod is like.

    Attributes:
        image: that it runs, if not `kubeflow.image`.
        cpu: cores, such as "2" or "500m": requested, and the limit.
        memory: such as "8Gi": requested, and the limit.
        gpus: number of GPUs.
        gpu_type: resource that counts them.
        shared_memory: size of /dev/shm; null for the node's own, or for 2Gi where there are GPUs.
        node_selector: labels that the node must have.
        tolerations: taints of nodes that it may run on all the same.
        volumes: persistent volume claims: photographs, push destination, weights.
        secrets: as environment variables or as files.
        environment: further variables. Values are in the compiled file for everybody to read: no secrets here.
        retries: how often a failed pod is started again, after one minute, two minutes, and so on.
        timeout_s: after how many seconds the pod is ended; null for never.
        cache: whether Kubeflow may reuse an earlier result; ImageExampleGen, Gate and Pusher are never cached.
    """

    image: Annotated[str, Field(min_length=1)] | None = None
    cpu: Cpu | None = None
    memory: Quantity | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None
    gpu_type: str = "nvidia.com/gpu"
    shared_memory: Quantity | None = None
    node_selector: dict[str, str] = {}
    tolerations: Annotated[tuple[Toleration, ...], Field(strict=False)] = ()
    volumes: Annotated[tuple[Volume, ...], Field(strict=False)] = ()
    secrets: Annotated[tuple[Secret, ...], Field(strict=False)] = ()
    environment: dict[VariableName, str] = {}
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    timeout_s: Annotated[int, Field(ge=1)] | None = None
    cache: bool | None = None

    @field_validator("environment")
    @classmethod
    def _holds_no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if _LOOKS_SECRET.search(name.upper()) and not (_NAMES_A_FILE.search(name) and value.startswith("/")):
                raise ValueError(
                    f"{name} looks like a secret, and the compiled pipeline can be read by many; put it into a "
                    f"Kubernetes secret, and name that: secrets: [{{name: …, environment: {{key: {name}}}}}]"
                )
        return environment

    @property
    def shared_memory_size(self) -> str | None:
        """Size of /dev/shm; None for the node's own."""
        return self.shared_memory or (_SHARED_MEMORY_OF_GPUS if self.gpus else None)


class KubeflowSettings(Settings):
    """How the pipeline runs on Kubeflow Pipelines.

    Attributes:
        image: container image with thaw, such as registry.example/thaw:1.4.0; best with a digest.
        pipeline_root: where artifacts are kept: minio://, s3:// or gs://; null for the cluster's own.
        checkpoints: where FineTuner keeps checkpoints: null beside its outputs in the pipeline root; a path of a
            mounted volume; another place in a bucket; or none, so that a training that is killed begins anew.
        default: what holds for every step that says nothing else.
        steps: what holds for one step. Lists and mappings join those of `default`, all else replaces it.
    """

    image: Annotated[str, Field(min_length=1)]
    pipeline_root: str | None = None
    checkpoints: str | None = None
    default: StepSettings = StepSettings()
    steps: dict[StepName, StepSettings] = {}

    @field_validator("pipeline_root")
    @classmethod
    def _is_in_a_bucket(cls, uri: str | None) -> str | None:
        if uri is not None and not re.match(r"^(minio|s3|gs)://[^/]", uri):
            raise ValueError(f"{uri!r} must be minio://BUCKET/…, s3://BUCKET/… or gs://BUCKET/…")
        return uri.rstrip("/") if uri else uri

    @field_validator("checkpoints")
    @classmethod
    def _is_a_place(cls, place: str | None) -> str | None:
        if place is not None and not re.match(r"^(none$|/[^/]|(minio|s3|gs)://[^/])", place):
            raise ValueError(f"{place!r} must be none, an absolute path in the container, or a place in a bucket")
        return place

    @model_validator(mode="after")
    def _cache_is_not_asked_for_where_it_would_lie(self) -> Self:
        for name in NEVER_CACHED:
            if name in self.steps and self.steps[name].cache:
                raise ValueError(f"steps.{name}.cache is true, but {name} is never cached: it would miss what changed")
        return self

    @model_validator(mode="after")
    def _mounts_are_distinct(self) -> Self:
        for name in StepName.__args__:  # type: ignore[attr-defined]
            step = self.of(name)
            paths = [*(v.mount_path for v in step.volumes), *(s.mount_path for s in step.secrets if s.mount_path)]
            twice = sorted({path for path in paths if paths.count(path) > 1})
            if twice:
                raise ValueError(f"{name} mounts {twice[0]!r} twice; give each volume and secret a path of its own")
        return self

    def of(self, name: StepName) -> StepSettings:
        """What holds for a step, `default` included."""
        own = self.steps.get(name, StepSettings())
        merged: dict[str, Any] = {
            key: _joined(getattr(self.default, key), getattr(own, key), key in own.model_fields_set)
            for key in StepSettings.model_fields
        }
        merged["image"] = merged["image"] or self.image
        merged["cache"] = name not in NEVER_CACHED and merged["cache"] is not False
        return StepSettings.model_construct(**merged)


def _joined(default: object, own: object, is_said: bool) -> object:
    if isinstance(default, Mapping) and isinstance(own, Mapping):
        return {**default, **own}
    if isinstance(default, tuple) and isinstance(own, tuple):
        return (*default, *own)
    return own if is_said else default
