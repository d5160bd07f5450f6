"""TFX's own evaluation with a configuration that knows the classes."""

import os
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils, proto_utils

from components.beam_workers import in_sight_of_workers
from components.evaluator.evaluation_config import evaluation_config
from components.evaluator.results import BASELINE, CANDIDATE, write_metrics
from components.evaluator.settings import EvaluationSettings
from components.evaluator.tfma_results import overall_metrics
from trainer.errors import ThawError
from trainer.example_weights import check_weights, weights_of
from trainer.saved_models import is_complete
from trainer.serving import read_model_labels


class Executor(executor.Executor):
    """Writes `evaluation` and `blessing`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        settings = EvaluationSettings.model_validate_json(exec_properties["evaluation_settings"])
        labels = _labels(artifact_utils.get_single_uri(input_dict["model"]))
        config = evaluation_config(settings, labels, _is_weighted(input_dict))
        _complete_tfma()
        with in_sight_of_workers(self, input_dict, output_dict):
            super().Do(input_dict, output_dict, {**exec_properties, "eval_config": proto_utils.proto_to_json(config)})
        uri = artifact_utils.get_single_uri(output_dict["evaluation"])
        write_metrics(uri, {name: overall_metrics(uri, name) for name in (CANDIDATE, BASELINE)})


def _is_weighted(input_dict: dict[str, list[types.Artifact]]) -> bool:
    """Whether some test examples count more than others. TFMA is asked as without weights where they do not."""
    folder = artifact_utils.get_split_uri(input_dict["examples"], "test")
    weights = weights_of([os.path.join(folder, name) for name in sorted(fileio.listdir(folder))])
    if len(weights):
        check_weights(weights, "the test split")
    return len(set(weights.tolist())) > 1


def _complete_tfma() -> None:
    """TFX wants a name that TFMA has lost, and gives it back only where all of its components are imported."""
    if not hasattr(tfma, "EvalConfig"):
        tfma.EvalConfig = config_pb2.EvalConfig


def _labels(model_uri: str) -> tuple[str, ...]:
    folder = path_utils.serving_model_path(model_uri)
    if not is_complete(folder):
        raise ThawError(f"no complete SavedModel in {folder!r}; run FineTuner again")
    return read_model_labels(Path(folder))
