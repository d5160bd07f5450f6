"""Runs tf.Transform on images.

It differs from TFX's executor in how examples are materialized: each record file of the input becomes one of the
output, streamed in small batches through the finished transform graph. So memory is bounded by a few batches, the order
of the examples is that of the input, and nothing is compressed that does not compress. The analysis is tf.Transform's.
"""

import os
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import import_utils, io_utils, json_utils
from tfx_bsl.public import tfxio

from components.beam_workers import in_sight_of_workers
from components.transform.labels import ReadLabels
from components.transform.materialize import Materialize, RecordFile, RecordFiles
from trainer.errors import ThawError
from trainer.features import LABEL
from trainer.preprocessing import RAW_FEATURE_SPEC

_ANALYZED_SPLIT = "train"
# Examples carry whole images, so a batch is kept small: 32 photographs of 5 MB are 160 MB.
_NUM_EXAMPLES_PER_BATCH = 32
# What one Beam worker takes at a time.
_NUM_FILES_PER_GROUP = 32


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes `transform_graph` and `transformed_examples`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        transformed = artifact_utils.get_single_instance(output_dict["transformed_examples"])
        _check_schema(artifact_utils.get_single_uri(input_dict["schema"]))
        settings = json_utils.loads(exec_properties["custom_config"])
        module, function = exec_properties["preprocessing_fn"].rsplit(".", maxsplit=1)
        preprocessing_fn = import_utils.import_func_from_module(module, function)
        transformed.split_names = examples.split_names
        outputs = {key: output_dict[key] for key in ("transform_graph", "transformed_examples")}
        with in_sight_of_workers(self, {"examples": [examples]}, outputs):
            graph_uri = artifact_utils.get_single_uri(output_dict["transform_graph"])
            self._analyze(
                artifact_utils.get_split_uri([examples], _ANALYZED_SPLIT),
                lambda inputs: preprocessing_fn(inputs, settings),
                graph_uri,
            )
            self._materialize(examples, transformed, graph_uri)

    def _analyze(self, folder: str, preprocessing_fn: Any, graph_uri: str) -> None:
        """Computes the vocabulary on the training split and writes the transform graph."""
        metadata = dataset_metadata.DatasetMetadata.from_feature_spec(RAW_FEATURE_SPEC)
        labels = tfxio.TFExampleRecord(
            io_utils.all_files_pattern(folder),
            schema=schema_utils.schema_from_feature_spec(RAW_FEATURE_SPEC),
            telemetry_descriptors=["thaw", "Transform"],
        ).Project([LABEL])
        files = sorted(tf.io.gfile.glob(io_utils.all_files_pattern(folder)))
        temporary = os.path.join(graph_uri, ".temporary")
        with (
            self._make_beam_pipeline() as pipeline,
            tft_beam.Context(temp_dir=temporary, force_tf_compat_v1=False),
        ):
            batches = pipeline | "Files" >> beam.Create(files) | ReadLabels(labels.ArrowSchema())
            transform_fn = (batches, labels.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(
                preprocessing_fn, pipeline=pipeline
            )
            transform_fn | "WriteGraph" >> tft_beam.WriteTransformFn(graph_uri)
            raw_metadata = os.path.join(graph_uri, tft.TFTransformOutput.RAW_METADATA_DIR)
            metadata | "WriteMetadata" >> tft_beam.WriteMetadata(raw_metadata, pipeline)
        io_utils.delete_dir(temporary)

    def _materialize(self, examples: types.Artifact, transformed: types.Artifact, graph_uri: str) -> None:
        """Applies the transform graph to every record file of every split."""
        files = [
            RecordFile(path, os.path.join(artifact_utils.get_split_uri([transformed], split), os.path.basename(path)))
            for split in artifact_utils.decode_split_names(examples.split_names)
            for path in sorted(tf.io.gfile.glob(os.path.join(artifact_utils.get_split_uri([examples], split), "*")))
        ]
        groups = [
            RecordFiles(tuple(files[start : start + _NUM_FILES_PER_GROUP]))
            for start in range(0, len(files), _NUM_FILES_PER_GROUP)
        ]
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Files" >> beam.Create(groups)
                | "Materialize" >> Materialize(graph_uri, _NUM_EXAMPLES_PER_BATCH)
            )


def _check_schema(uri: str) -> None:
    schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(uri))
    features: Mapping[str, schema_pb2.Feature] = {feature.name: feature for feature in schema.feature}
    for name in RAW_FEATURE_SPEC:
        if name not in features or features[name].type != schema_pb2.BYTES:
            raise ThawError(
                f"the schema has no feature {name!r} of type BYTES; start from a schema that a run without data.schema "
                "has inferred"
            )
