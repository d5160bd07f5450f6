"""TFX's own evaluation with a configuration that knows the classes."""

from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator import executor
from tfx.types import artifact_utils
from tfx.utils import path_utils, proto_utils

from components.evaluator.evaluation_config import evaluation_config
from components.evaluator.settings import EvaluationSettings
from trainer.errors import ThawError
from trainer.export import is_complete
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
        config = evaluation_config(settings, labels)
        _complete_tfma()
        super().Do(input_dict, output_dict, {**exec_properties, "eval_config": proto_utils.proto_to_json(config)})


def _complete_tfma() -> None:
    """TFX wants a name that TFMA has lost, and gives it back only where all of its components are imported."""
    if not hasattr(tfma, "EvalConfig"):
        tfma.EvalConfig = config_pb2.EvalConfig


def _labels(model_uri: str) -> tuple[str, ...]:
    folder = path_utils.serving_model_path(model_uri)
    if not is_complete(folder):
        raise ThawError(f"no complete SavedModel in {folder!r}; run FineTuner again")
    return read_model_labels(Path(folder))
