"""Publishes a blessed model; says in the artifact whether it did, and where."""

from typing import Any

from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.pusher.publish import publish


class Executor(base_executor.BaseExecutor):
    """Sets `pushed`, `pushed_destination` and `pushed_version` of `pushed_model`, as TFX's Pusher does."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not model_utils.is_model_blessed(artifact_utils.get_single_instance(input_dict["model_blessing"])):
            pushed.set_int_custom_property("pushed", 0)
            return
        model = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        publication = publish(model, exec_properties["push_destination"])
        pushed.set_int_custom_property("pushed", 1)
        pushed.set_int_custom_property("is_new_version", int(publication.is_new))
        pushed.set_string_custom_property("pushed_destination", publication.uri)
        pushed.set_string_custom_property("pushed_version", publication.version)
