"""TFX's own evaluation with a configuration that knows the classes, and the verdict in words beside the result."""

import os
from typing import Any

from tfx import types
from tfx.components.evaluator import constants, executor
from tfx.types import artifact_utils
from tfx.utils import path_utils, proto_utils

from components.evaluator import results, verdict
from components.evaluator.evaluation_config import evaluation_config
from components.evaluator.settings import GateSettings
from trainer.errors import ThawError
from trainer.export import is_complete
from trainer.features import LABEL_VOCABULARY


class Executor(executor.Executor):
    """Writes `evaluation`, with `verdict.json` in it, and `blessing`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        gate = GateSettings.model_validate_json(exec_properties["gate_settings"])
        labels = read_model_labels(artifact_utils.get_single_uri(input_dict["model"]))
        config = evaluation_config(gate, labels)
        super().Do(input_dict, output_dict, {**exec_properties, "eval_config": proto_utils.proto_to_json(config)})
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        uri = artifact_utils.get_single_uri(output_dict["evaluation"])
        decision = results.read_verdict(uri, gate, labels, _is_blessed(blessing))
        verdict.write(decision, uri)
        if not decision.approved:
            _withdraw(blessing)


def read_model_labels(model_uri: str) -> list[str]:
    """The classes of an exported model, in the order of its scores.

    Raises:
        ThawError: there is no complete SavedModel.
    """
    folder = path_utils.serving_model_path(model_uri)
    if not is_complete(folder):
        raise ThawError(f"no complete SavedModel in {folder!r}; run FineTuner again")
    path = os.path.join(folder, "assets", LABEL_VOCABULARY)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")


def _is_blessed(blessing: types.Artifact) -> bool:
    return bool(blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) == constants.BLESSED_VALUE)


def _withdraw(blessing: types.Artifact) -> None:
    """Makes the mark agree with the verdict, file and property."""
    blessed_file = os.path.join(blessing.uri, constants.BLESSED_FILE_NAME)
    if os.path.exists(blessed_file):
        os.replace(blessed_file, os.path.join(blessing.uri, constants.NOT_BLESSED_FILE_NAME))
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.NOT_BLESSED_VALUE)
