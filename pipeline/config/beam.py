"""What a configuration says of Apache Beam: on what the steps run that use it, and what their workers can see."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from pipeline.config.beam_options import check_options
from trainer.settings import Settings

BeamStep = Literal["ImageExampleGen", "Transform", "Evaluator"]
BEAM_STEPS: tuple[BeamStep, ...] = ("ImageExampleGen", "Transform", "Evaluator")
"""The steps that use Beam; the others work in one process, whatever the runner."""

RunnerName = Literal["direct", "flink", "spark", "dataflow", "portable"]

_JOB_SERVERS = ("flink", "spark", "portable")
_REMOTE = (*_JOB_SERVERS, "dataflow")
# For which runners a key says anything. Those that are not here are for all.
_RUNNERS_OF_KEY: dict[str, tuple[str, ...]] = {
    "direct_running_mode": ("direct",),
    "direct_num_workers": ("direct",),
    "job_endpoint": _JOB_SERVERS,
    "artifact_endpoint": _JOB_SERVERS,
    "parallelism": ("flink",),
    "workers": _REMOTE,
    "setup_file": _REMOTE,
    "workspace": _REMOTE,
    "shared_folders": _JOB_SERVERS,
    "project": ("dataflow",),
    "region": ("dataflow",),
    "temp_location": ("dataflow",),
    "num_workers": ("dataflow",),
    "max_num_workers": ("dataflow",),
}
_REQUIRED_BY_JOB_SERVERS = {
    "job_endpoint": "HOST:PORT of the Beam job server",
    "workers": "such as {pool: localhost:50000}",
}
_REQUIRED = {
    **{name: _REQUIRED_BY_JOB_SERVERS for name in _JOB_SERVERS},
    "dataflow": {
        "project": "of Google Cloud",
        "region": "such as europe-west4",
        "temp_location": "gs://BUCKET/FOLDER",
        "workers": "{image: IMAGE}, with thaw and Beam's boot program in it",
    },
}


def _absolute_folder(folder: str) -> str:
    if not folder.startswith("/") or folder.strip("/") == "":
        raise ValueError("must be an absolute path, the same here and where the workers run, and not /")
    return folder.rstrip("/")


def _absolute_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must be an absolute path; on Kubeflow it is one in the image")
    return path


def _folder_or_bucket(place: str) -> str:
    if re.match(r"^gs://[^/]", place):
        return place.rstrip("/")
    if "://" in place:
        raise ValueError(
            "must be a folder that is mounted here and where the workers run, or gs://BUCKET/…: of all buckets, "
            "TensorFlow reads and writes these alone"
        )
    return _absolute_folder(place)


Endpoint = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+:[0-9]+$")]
SharedFolder = Annotated[str, AfterValidator(_absolute_folder)]
Workspace = Annotated[str, AfterValidator(_folder_or_bucket)]
# As Beam has it: where it finds another place, it takes a bucket of its own making in silence.
Bucket = Annotated[str, Field(pattern=r"^gs://[a-z0-9][-_.a-z0-9]+[a-z0-9]/.+$")]
Count = Annotated[int, Field(ge=1)]


class Workers(Settings):
    """What runs our code for a remote runner; one of these. It must have thaw's packages, and TFX.

    Attributes:
        pool: HOST:PORT of a worker pool as the runner's nodes see it, such as localhost:50000 for a sidecar of each.
        image: container image that each node starts, with Beam's boot program in it.
        command: such a boot program, which each node has already.
        this_machine: the very process that runs the step, for trying out a job server of this machine.
    """

    pool: Endpoint | None = None
    image: Annotated[str, Field(min_length=1)] | None = None
    command: Annotated[str, Field(min_length=1)] | None = None
    this_machine: bool = False

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        given = [key for key in Workers.model_fields if getattr(self, key)]
        if len(given) != 1:
            said = " and ".join(given) if given else "nothing"
            raise ValueError(f"workers names {said}; name one of pool, image, command, this_machine")
        return self


class RunnerKeys(Settings):
    """What can be said of a runner, for all steps that use Beam or for one of them.

    Attributes:
        runner: direct works on the machine of the step; flink, spark and portable give the work to a Beam job server,
            dataflow to Google's service.
        direct_running_mode: "in_memory" is quickest for small data; the other two start workers.
        direct_num_workers: how many workers the other two modes start.
        job_endpoint: HOST:PORT of the job server.
        artifact_endpoint: HOST:PORT where the job server takes files; null for what it names itself.
        parallelism: into how many parts Flink divides the work; null for the cluster's default.
        workers: what runs our code.
        setup_file: a setup.py; its packages are installed by the workers' boot program, over those of the image.
        workspace: where the files lie that steps and workers exchange: a folder that is mounted under the same path
            here and there, or gs://…; null takes temp_location for Dataflow. Each step empties what it has put there.
        shared_folders: further folders that are mounted under the same path here and there, such as photographs.
        project: of Google Cloud.
        region: where Dataflow's workers are.
        temp_location: gs://…, where Dataflow keeps what it needs for itself.
        num_workers: how many workers Dataflow begins with.
        max_num_workers: how many it may have.
        options: further flags of Beam, such as --sdk_worker_parallelism=4.
    """

    runner: RunnerName | None = None
    direct_running_mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"
    direct_num_workers: Count = 1
    job_endpoint: Endpoint | None = None
    artifact_endpoint: Endpoint | None = None
    parallelism: Count | None = None
    workers: Workers | None = None
    setup_file: Annotated[str, AfterValidator(_absolute_path)] | None = None
    workspace: Workspace | None = None
    shared_folders: Annotated[tuple[SharedFolder, ...], Field(strict=False)] = ()
    project: Annotated[str, Field(min_length=1)] | None = None
    region: Annotated[str, Field(min_length=1)] | None = None
    temp_location: Bucket | None = None
    num_workers: Count | None = None
    max_num_workers: Count | None = None
    options: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @field_validator("options")
    @classmethod
    def _are_options_of_beam(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        check_options(options)
        return options

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, as plain values."""
        return self.model_dump(exclude_defaults=True, include=set(RunnerKeys.model_fields))


class RunnerSettings(RunnerKeys):
    """On what a step runs its Beam pipelines, without contradictions; see `RunnerKeys`."""

    runner: RunnerName = "direct"

    @property
    def is_remote(self) -> bool:
        """Whether the work is done by others than the process of the step."""
        return self.runner in _REMOTE

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is done where the files of this machine cannot be seen."""
        return self.is_remote and not (self.workers is not None and self.workers.this_machine)

    @property
    def place_of_exchange(self) -> str | None:
        """What `workspace` says, or for Dataflow `temp_location`."""
        return self.workspace or self.temp_location

    def can_see(self, place: str) -> bool:
        """Whether the workers see a folder of this machine."""
        seen = (*self.shared_folders, *([self.workspace] if self.workspace else []))
        return any(PurePosixPath(place).is_relative_to(folder) for folder in seen)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        yield from self._without_effect()
        if self.direct_running_mode == "in_memory" and self.direct_num_workers != 1:
            yield (
                f"direct_num_workers is {self.direct_num_workers}, but direct_running_mode is in_memory, "
                "which has one worker; choose multi_threading or multi_processing, or leave the number out"
            )
        for key, words in _REQUIRED.get(self.runner, {}).items():
            if getattr(self, key) is None:
                yield f"runner is {self.runner}, which needs {key}: {words}"
        if self.is_elsewhere and self.place_of_exchange is None:
            yield (
                f"runner is {self.runner}, which needs workspace: a folder that is mounted under the same path here "
                "and where the workers run, or gs://BUCKET/FOLDER; steps and workers exchange their files there"
            )
        yield from self._about_dataflow()
        if (
            self.setup_file is not None
            and self.workers is not None
            and (self.workers.pool or self.workers.this_machine)
        ):
            yield (
                f"setup_file is {self.setup_file!r}, but nothing installs it: workers.pool and workers.this_machine "
                "run without Beam's boot program; leave it out, and give the pool an image with the code"
            )

    def _without_effect(self) -> Iterator[str]:
        for key, runners in _RUNNERS_OF_KEY.items():
            value = getattr(self, key)
            if self.runner not in runners and value != RunnerKeys.model_fields[key].default:
                shown = value.model_dump(exclude_defaults=True) if isinstance(value, Workers) else value
                yield (
                    f"{key} is {shown!r}, but runner is {self.runner}; {key} is for {_listed(runners)}: leave it out, "
                    "or choose another runner"
                )

    def _about_dataflow(self) -> Iterator[str]:
        if self.runner != "dataflow":
            return
        if self.workers is not None and self.workers.image is None:
            yield "runner is dataflow, whose workers are containers: say workers: {image: IMAGE}"
        if self.workspace is not None and not self.workspace.startswith("gs://"):
            yield f"workspace is {self.workspace!r}, which Dataflow's workers cannot mount; give gs://BUCKET/FOLDER"
        if self.num_workers and self.max_num_workers and self.num_workers > self.max_num_workers:
            yield f"num_workers is {self.num_workers}, more than max_num_workers, {self.max_num_workers}"


class BeamSettings(RunnerSettings):
    """How the steps run that use Apache Beam: ImageExampleGen, Transform and Evaluator.

    Attributes:
        steps: what holds for one step. Where it names a runner, it says all; else it joins what is said for all.
    """

    steps: dict[BeamStep, RunnerKeys] = {}

    def resolved(self) -> dict[str, Any]:
        """Every key that says something for the runner, defaults included, as plain values."""
        without = {key for key, runners in _RUNNERS_OF_KEY.items() if self.runner not in runners}
        steps = {name: step.said() for name, step in self.steps.items()}
        return {**self.model_dump(mode="json", exclude=without), "steps": steps}

    @model_validator(mode="after")
    def _steps_make_sense(self) -> Self:
        for name in self.steps:
            try:
                self.of(name)
            except ValidationError as error:
                words = str(error.errors()[0].get("ctx", {}).get("error", error.errors()[0]["msg"]))
                raise ValueError(f"for steps.{name}, {words}") from None
        return self

    def of(self, step: BeamStep) -> RunnerSettings:
        """What holds for a step."""
        general: Mapping[str, Any] = self.said()
        own = self.steps[step].said() if step in self.steps else {}
        if "runner" in own:
            return RunnerSettings.model_validate(own)
        options = (*general.get("options", ()), *own.get("options", ()))
        return RunnerSettings.model_validate({**general, **own, "options": options})


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
