"""Puts the model that training begins with into the cache key."""

from typing import Any

from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from components.driver import PropertyDriver
from components.fine_tuner.warm_start import properties_of


class Driver(PropertyDriver):
    """Adds the execution property `warm_start_sha256` where the settings ask for a warm start."""

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """TFX's entry point."""
        self._inputs = execution_info.input_dict
        return super().run(execution_info)

    def more_properties(self, exec_properties: dict[str, Any]) -> dict[str, str]:
        """The digest of that model."""
        return properties_of(self._inputs, exec_properties)
