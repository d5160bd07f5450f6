"""Puts the production model into the cache key: a verdict holds for what it was compared with."""

from typing import Any

from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.driver import PropertyDriver
from components.gate.production import find_production


class Driver(PropertyDriver):
    """Adds the execution property `production_sha256`, empty while there is no production model."""

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """TFX's entry point."""
        self._candidate = path_utils.serving_model_path(
            artifact_utils.get_single_uri(execution_info.input_dict["model"])
        )
        return super().run(execution_info)

    def more_properties(self, exec_properties: dict[str, Any]) -> dict[str, str]:
        """The digest of the production model."""
        production = find_production(exec_properties["push_destination"], self._candidate)
        return {"production_sha256": production.sha256 if production else ""}
