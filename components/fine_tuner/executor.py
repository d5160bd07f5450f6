"""Unpacks artifacts and properties for `trainer.run.run`, or with several machines for `trainer.worker.run_chief`."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.fine_tuner import cache_place
from components.fine_tuner.warm_start import checked_origin, training_sha256
from trainer import cluster
from trainer.errors import ThawError
from trainer.run import TrainingJob, run
from trainer.settings import ModelSettings
from trainer.worker import JOB_FILE, WorkerJob, run_chief

_CHECKPOINTS = ".system/checkpoints"


class Executor(base_executor.BaseExecutor):
    """Trains and exports; the models lie where TFX and TFMA look for a SavedModel in a Model artifact."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        flags = self._context.extra_flags if self._context else None
        checkpoints = checkpoint_places(input_dict, output_dict, exec_properties, flags or ())
        origin = checked_origin(input_dict, exec_properties)
        place = cache_place.from_environment()
        job = TrainingJob(
            train_examples=artifact_utils.get_split_uri(input_dict["examples"], "train"),
            eval_examples=artifact_utils.get_split_uri(input_dict["examples"], "eval"),
            transform_graph=artifact_utils.get_single_uri(input_dict["transform_graph"]),
            model=_serving_dir(output_dict["model"]),
            baseline_model=_serving_dir(output_dict["baseline_model"]),
            training_record=artifact_utils.get_single_uri(output_dict["training_record"]),
            checkpoints=checkpoints.folder,
            checkpoint_store=checkpoints.store,
            warm_start=None if origin is None else str(origin),
            training_sha256=training_sha256(input_dict, exec_properties),
            cache=place.store(),
        )
        settings = ModelSettings.model_validate_json(exec_properties["model_settings"])
        settings = settings.model_copy(update={"cache": place.mode})
        gpus = exec_properties.get("gpus")
        chosen = None if gpus is None else tuple(json.loads(gpus))
        num_cpu_replicas = exec_properties.get("num_cpu_replicas")
        if cluster.from_environment() is None:
            run(job, settings, num_cpu_replicas, chosen)
        else:
            run_chief(WorkerJob(job, settings, num_cpu_replicas, chosen), job_file(job.training_record))


def job_file(training_record: str) -> Path:
    """Where the other machines look for what is to be trained: one place for all attempts and trainings.

    Raises:
        ThawError: outputs are not in a file system that is mounted.
    """
    if "://" in training_record:
        raise ThawError(
            f"{cluster.VARIABLE} names several machines, which must share a mounted file system, but outputs go to "
            f"{training_record}; mount it, or train on one machine"
        )
    return Path(training_record).parents[1] / ".system" / JOB_FILE


@dataclass(frozen=True)
class CheckpointPlaces:
    """Where the checkpoints of a training lie.

    Attributes:
        folder: local; None for no checkpoints.
        store: URI of a folder that gets copies of them; None where the local one outlives the machine.
    """

    folder: str | None
    store: str | None = None


def checkpoint_places(
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
    flags: Sequence[str] = (),
) -> CheckpointPlaces:
    """One folder for all attempts at this training.

    TFX gives each attempt another execution, with outputs and a working folder of its own. What stays the same are the
    inputs and the properties, so the folder is named by these; it lies where TFX keeps its own files of the component.

    Args:
        input_dict: of the executor.
        output_dict: of the executor.
        exec_properties: of the executor.
        flags: `--checkpoints=`, a path, a URI or "none"; `--task_uri=`, folder of the component in an object store that
            outlives this machine, unlike its disks.

    Returns:
        No folder, with a warning in the log, where outputs are not in a file system that is mounted.
    """
    outputs = artifact_utils.get_single_uri(output_dict["training_record"])
    stated, task_uri = (_flag(name, flags) for name in ("--checkpoints=", "--task_uri="))
    if stated == "none":
        return CheckpointPlaces(None)
    if "://" in outputs:
        logging.warning("%s is no mounted file system: a training that is killed begins anew", outputs)
        return CheckpointPlaces(None)
    inputs = {name: sorted(artifact.uri for artifact in artifacts) for name, artifacts in input_dict.items()}
    text = json.dumps([inputs, exec_properties], sort_keys=True, default=str)
    identity = hashlib.sha256(text.encode()).hexdigest()[:16]
    local = str(Path(outputs).parents[1] / _CHECKPOINTS / identity)
    if stated is not None:
        return (
            CheckpointPlaces(local, f"{stated}/{identity}")
            if "://" in stated
            else CheckpointPlaces(str(Path(stated) / identity))
        )
    return CheckpointPlaces(local, f"{task_uri}/{_CHECKPOINTS}/{identity}" if task_uri else None)


def _flag(name: str, flags: Sequence[str]) -> str | None:
    return next((flag.removeprefix(name).rstrip("/") for flag in flags if flag.startswith(name)), None)


def _serving_dir(artifacts: list[types.Artifact]) -> str:
    path: str = path_utils.serving_model_dir(artifact_utils.get_single_uri(artifacts))
    return path
