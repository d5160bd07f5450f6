"""What a configuration file may say.

What is learned (`data`, `model`, `gate`) stands apart from where it runs (`infrastructure`), so that the same
model section runs anywhere.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from components.gate.settings import GateSettings
from components.image_example_gen.settings import IngestionSettings, span_placeholders
from components.image_example_gen.sources.spans import SpanTemplate
from components.pusher.serving import ModelServer, ServingSettings, check_name
from pipeline.config.beam import BeamSettings
from pipeline.config.kubeflow import KubeflowSettings
from pipeline.config.sight import what_workers_cannot_see
from trainer.errors import ThawError
from trainer.settings import LATEST, NO_WARM_START, ModelSettings, Settings

FOLDER = "folder"
"""Key of the validation context that holds the folder which relative paths start from."""


def _absolute(value: object, info: ValidationInfo) -> object:
    """Makes a path that is given as text absolute; leaves anything else to pydantic's own check."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("must name a path; it is empty")
    if "://" in value:
        raise ValueError("must be a local path; remote storage is not supported")
    folder = info.context[FOLDER] if info.context else Path.cwd()
    # Not resolve(): a link stays the name that its owner knows it by.
    return Path(os.path.normpath(Path(folder, Path(value).expanduser())))


LocalPath = Annotated[Path, BeforeValidator(_absolute)]


def _absolute_or_in_bucket(value: object, info: ValidationInfo) -> object:
    """Leaves a URL of a bucket as it is; makes anything else an absolute path."""
    if not isinstance(value, str) or "://" not in value:
        return _absolute(value, info)
    if not re.match(r"(s3|gs)://[^/]", value):
        raise ValueError("must be a local path, or a place in a bucket: s3://BUCKET/… or gs://BUCKET/…")
    return value.rstrip("/")


Destination = Annotated[Path | str, BeforeValidator(_absolute_or_in_bucket)]
"""A folder here as a Path, or a place in a bucket as text."""


class DataSettings(IngestionSettings):
    """The photographs, and how they become examples.

    Attributes:
        schema: a schema.pbtxt to check the data against; null infers one from the data.
        scaled_decoding: decode a JPEG to a half, a quarter or an eighth of its size where that leaves twice
            `model.image_size_px` or more, in training and in the served model alike. 12 megapixels to 224 pixels take
            half to three quarters of the time; a value changes by 0.1 of 255 on average, by 2 at most.
    """

    # "schema" would hide a (deprecated) method of pydantic's; the file says `schema` all the same.
    schema_path: Annotated[LocalPath | None, Field(alias="schema")] = None
    scaled_decoding: bool = False

    @field_validator("images", mode="before")
    @classmethod
    def _make_images_absolute(cls, images: object, info: ValidationInfo) -> object:
        if not isinstance(images, str) or "://" not in images:
            absolute = _absolute(images, info)
            return str(absolute) if isinstance(absolute, Path) else absolute
        if not re.match(r"(s3|gs)://[^/]", images):
            raise ValueError("must be a local path, or a place in a bucket: s3://BUCKET/… or gs://BUCKET/…")
        return images.rstrip("/")


def _is_among_photographs(path: Path, images: str) -> bool:
    if "://" in images:
        return False
    if span_placeholders(images):
        return SpanTemplate(images).holds(str(path))
    return path.resolve().is_relative_to(Path(images).resolve())


class CacheSettings(Settings):
    """Where `model.cache` keeps what frozen layers make of the images; all runs share it.

    Attributes:
        folder: on a disk of this machine, made where it is missing; null is the folder `cache` in `root`.
        max_gib: the most that it may take; what was used longest ago is thrown out for more.
    """

    folder: LocalPath | None = None
    max_gib: Annotated[float, Field(gt=0)] = 20.0


class InfrastructureSettings(Settings):
    """Where and on what the pipeline runs.

    Attributes:
        root: folder of the pipeline: metadata, artifacts and run records. Made where it is missing.
        push_destination: folder that receives a model version with each push, made where it is missing; or a place in a
            bucket, s3://… or gs://….
        num_cpu_replicas: train on this many logical CPU devices; null trains on GPUs, or the one CPU.
        gpus: numbers of the GPUs to train on, in TensorFlow's order; null for all.
        beam: how the steps run that use Apache Beam.
        cache: where work on frozen layers is kept.
        kubeflow: how the pipeline runs on Kubeflow Pipelines; null where it does not.
        serving: how KServe serves what is pushed, so that each version has a manifest; null for none.
    """

    root: LocalPath
    push_destination: Destination
    num_cpu_replicas: Annotated[int, Field(ge=1)] | None = None
    gpus: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, strict=False)] | None = None
    beam: BeamSettings = BeamSettings()
    cache: CacheSettings = CacheSettings()
    kubeflow: KubeflowSettings | None = None
    serving: ServingSettings | None = None

    @property
    def cache_folder(self) -> Path:
        """Where the cache lies."""
        return self.cache.folder or self.root / "cache"

    @model_validator(mode="after")
    def _devices_are_stated_once(self) -> Self:
        if self.gpus is not None and self.num_cpu_replicas is not None:
            raise ValueError(
                f"gpus is {list(self.gpus)} and num_cpu_replicas {self.num_cpu_replicas}; training runs on GPUs or on "
                "logical CPU devices: leave one of them out"
            )
        if self.gpus is not None and len(set(self.gpus)) < len(self.gpus):
            raise ValueError(f"gpus is {list(self.gpus)}; name each once")
        return self

    @model_validator(mode="after")
    def _places_are_distinct(self) -> Self:
        if self.root == self.push_destination:
            raise ValueError(f"root and push_destination are the same folder, {str(self.root)!r}; give each its own")
        if self.cache_folder in (self.root, self.push_destination):
            raise ValueError(
                f"cache.folder is {str(self.cache_folder)!r}, which is root or push_destination; give it one of its own"
            )
        return self


class Configuration(Settings):
    """Everything that decides a run.

    Attributes:
        name: names the pipeline in records and in its metadata.
        data: the photographs, and how they become examples.
        model: the classifier, and the phases that train it.
        gate: what it must reach to be pushed.
        infrastructure: where and on what all this runs.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=63)]
    data: DataSettings
    model: ModelSettings
    gate: GateSettings
    infrastructure: InfrastructureSettings

    @property
    def model_server(self) -> ModelServer | None:
        """For the manifests of pushed versions; None where there are none."""
        serving, kubeflow = self.infrastructure.serving, self.infrastructure.kubeflow
        if serving is None:
            return None
        volumes = kubeflow.of("Pusher").volumes if kubeflow else ()
        return ModelServer(name=serving.name or self.name, settings=serving, volumes=volumes)

    @field_validator("model", mode="before")
    @classmethod
    def _make_weights_absolute(cls, model: Any, info: ValidationInfo) -> Any:
        if not isinstance(model, dict):
            return model
        changes = {}
        for key, words in (("weights", ("imagenet", "none")), ("warm_start", (LATEST, NO_WARM_START))):
            value = model.get(key)
            if not isinstance(value, str) or value in words:
                continue
            try:
                changes[key] = str(_absolute(value, info))
            except ValueError as error:
                raise ValueError(f"{key} {value!r} {error}") from None
        return {**model, **changes}

    @field_validator("model")
    @classmethod
    def _gate_has_a_baseline(cls, model: ModelSettings) -> ModelSettings:
        if model.baseline == "none":
            raise ValueError(
                "baseline is none, but the gate compares the result with the frozen-only baseline; leave it out (none "
                "is for training without the pipeline)"
            )
        return model

    @model_validator(mode="after")
    def _outputs_lie_outside_the_photographs(self) -> Self:
        for key, path in (
            ("root", self.infrastructure.root),
            ("push_destination", self.infrastructure.push_destination),
            ("cache.folder", self.infrastructure.cache_folder),
        ):
            if isinstance(path, Path) and _is_among_photographs(path, self.data.images):
                raise ValueError(
                    f"infrastructure.{key}, {str(path)!r}, lies inside data.images, "
                    f"{self.data.images!r}, where it would be read as photographs; put it elsewhere"
                )
        return self

    @model_validator(mode="after")
    def _beam_workers_see_their_files(self) -> Self:
        infrastructure = self.infrastructure
        for problem in what_workers_cannot_see(self.data.images, infrastructure.beam, infrastructure.kubeflow):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _what_is_pushed_can_be_served(self) -> Self:
        server = self.model_server
        if server is None:
            return self
        try:
            check_name(server.name)
            server.source_of(str(self.infrastructure.push_destination))
        except (ThawError, ValueError) as error:
            raise ValueError(f"infrastructure.serving: {error}") from None
        return self
