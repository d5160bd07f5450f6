"""SchemaGen for images: TFX's own, plus the features that no statistics are computed on."""

import os
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.schema_gen import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.data_validation.features import FEATURES_WITHOUT_STATISTICS
from trainer.features import LABEL


class Executor(executor.Executor):
    """Infers the schema from the statistics and adds the features without statistics."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        super().Do(input_dict, output_dict, exec_properties)
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        path = os.path.join(uri, executor.DEFAULT_FILE_NAME)
        schema = io_utils.SchemaReader().read(path)
        io_utils.write_pbtxt_file(path, with_all_features(schema))


def with_all_features(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """A copy of `schema` that also holds the features without statistics.

    They have no presence constraint: validation compares with statistics, in which they do not occur. The values of all
    but the label are left open: a lone PNG among JPEGs that falls into the test split is no anomaly.
    """
    result = schema_pb2.Schema()
    result.CopyFrom(schema)
    for feature in result.feature:
        if feature.name != LABEL:
            feature.ClearField("domain")
    known = {feature.name for feature in schema.feature}
    for name in FEATURES_WITHOUT_STATISTICS:
        if name not in known:
            result.feature.add(name=name, type=schema_pb2.BYTES)
    return result


class SchemaGen(component.SchemaGen):
    """TFX's SchemaGen with our executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
