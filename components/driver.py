"""A driver that adds execution properties before the cache is looked up: what TFX cannot see joins its key."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2


class PropertyDriver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Base of our drivers; TFX asks for both base classes, one when the component is made, the other when it is run."""

    def __init__(self, metadata_handle: metadata.Metadata) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    @classmethod
    def more_properties(
        cls, input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
    ) -> dict[str, str]:
        """What to add to the execution properties; needs no metadata, so that Kubeflow's entrypoint can ask, too."""
        raise NotImplementedError

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """TFX's entry point."""
        inputs, properties = execution_info.input_dict, execution_info.exec_properties
        result = driver_output_pb2.DriverOutput()
        for name, value in {**properties, **self.more_properties(inputs, properties)}.items():
            if value is not None:
                data_types_utils.set_metadata_value(result.exec_properties[name], value)
        return result
