"""Unpacks artifacts and properties for `trainer.run.run`."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from trainer.run import TrainingJob, run
from trainer.settings import ModelSettings


class Executor(base_executor.BaseExecutor):
    """Trains and exports; the models lie where TFX and TFMA look for a SavedModel in a Model artifact."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        job = TrainingJob(
            train_examples=artifact_utils.get_split_uri(input_dict["examples"], "train"),
            eval_examples=artifact_utils.get_split_uri(input_dict["examples"], "eval"),
            transform_graph=artifact_utils.get_single_uri(input_dict["transform_graph"]),
            model=_serving_dir(output_dict["model"]),
            baseline_model=_serving_dir(output_dict["baseline_model"]),
            training_record=artifact_utils.get_single_uri(output_dict["training_record"]),
        )
        settings = ModelSettings.model_validate_json(exec_properties["model_settings"])
        run(job, settings, exec_properties.get("num_cpu_replicas"))


def _serving_dir(artifacts: list[types.Artifact]) -> str:
    path: str = path_utils.serving_model_dir(artifact_utils.get_single_uri(artifacts))
    return path
