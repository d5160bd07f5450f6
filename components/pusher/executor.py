"""Publishes a blessed model; says in the artifact whether it did, and where."""

from functools import partial
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.gate.verdict_schema import FILE_NAME
from components.pusher.announcement import announce
from components.pusher.buckets import OtherFiles
from components.pusher.manifest import FILE, Provenance, manifests
from components.pusher.publish import publish
from components.pusher.serving import ModelServer
from trainer.files import sha256_of

_TASK_URI = "--task_uri="


class Executor(base_executor.BaseExecutor):
    """Sets `pushed`, `pushed_destination` and `pushed_version` of `pushed_model`, as TFX's Pusher does.

    Where a model server is configured, the version gets the manifest of an InferenceService, and `manifest` says where.
    """

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
        destination = exec_properties["push_destination"]
        others = self._manifest(input_dict, destination, exec_properties.get("model_server"))
        publication = publish(model, destination, others)
        announce(publication)
        pushed.set_int_custom_property("pushed", 1)
        pushed.set_int_custom_property("is_new_version", int(publication.is_new))
        pushed.set_string_custom_property("pushed_destination", publication.uri)
        pushed.set_string_custom_property("pushed_version", publication.version)
        if others is not None:
            pushed.set_string_custom_property("manifest", f"{publication.uri}/{FILE}")

    def _manifest(
        self, input_dict: dict[str, list[types.Artifact]], destination: str, model_server: str | None
    ) -> OtherFiles | None:
        if not model_server:
            return None
        server = ModelServer.model_validate_json(model_server)
        server.source_of(destination)  # before anything is pushed
        verdict = Path(artifact_utils.get_single_uri(input_dict["verdict"])) / FILE_NAME
        return partial(manifests, server, destination, Provenance(self._run_id(), sha256_of(verdict)))

    def _run_id(self) -> str:
        """That of TFX; on Kubeflow, where TFX has none, that in the place of the step: PIPELINE/RUN/STEP."""
        if self._context is None:
            return ""
        flags = self._context.extra_flags or ()
        step = next((flag.removeprefix(_TASK_URI) for flag in flags if flag.startswith(_TASK_URI)), None)
        return str(self._context.pipeline_run_id or "") if step is None else step.rstrip("/").split("/")[-2]
