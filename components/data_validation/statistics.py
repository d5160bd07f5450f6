"""StatisticsGen for images: TensorFlow Data Validation's statistics, on everything in an example but the image.

TFX's own decodes whole records in Python and runs dozens of Beam stages over them; with photographs in the records that
takes longer than decoding these. Here the features are taken out of the records in C++, and a split's table, some
hundred bytes per example, fits in memory.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec, standard_artifacts
from tfx_bsl.coders import example_coder

from components.artifacts import Quarantine
from components.data_validation.features import FEATURES_WITHOUT_STATISTICS
from components.digest import code_digest
from components.image_example_gen.quarantine import SUMMARY_FILE
from trainer.features import LABEL

STATISTICS_FILE = "FeatureStats.pb"
_NUM_RECORDS_PER_BATCH = 64
_TYPES = {"bytes_list": schema_pb2.BYTES, "int64_list": schema_pb2.INT, "float_list": schema_pb2.FLOAT}


class StatisticsGenSpec(component_spec.ComponentSpec):
    """Interface of StatisticsGen."""

    PARAMETERS = {"code_digest": component_spec.ExecutionParameter(type=str)}
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "quarantine": component_spec.ChannelParameter(type=Quarantine),
    }
    OUTPUTS = {"statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics)}


class Executor(base_executor.BaseExecutor):
    """Writes the statistics of every split."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        statistics = artifact_utils.get_single_instance(output_dict["statistics"])
        quarantine = artifact_utils.get_single_uri(input_dict["quarantine"])
        summary = json.loads((Path(quarantine) / SUMMARY_FILE).read_text("utf-8", "surrogateescape"))
        splits = artifact_utils.decode_split_names(examples.split_names)
        statistics.split_names = examples.split_names
        for split in splits:
            found = statistics_of(artifact_utils.get_split_uri([examples], split))
            add_refusals(found, summary["num_refused_by_reason_and_label"])
            folder = artifact_utils.get_split_uri([statistics], split)
            tf.io.gfile.makedirs(folder)
            with tf.io.gfile.GFile(os.path.join(folder, STATISTICS_FILE), "wb") as file:
                file.write(found.SerializeToString(deterministic=True))


def statistics_of(folder: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Statistics of the examples in a folder of TFRecord files, without those of the image and of what names it."""
    batches = list(_batches(folder))
    table = pa.Table.from_batches(batches).combine_chunks()
    (batch,) = table.to_batches(max_chunksize=max(1, table.num_rows))
    return stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions())


def _batches(folder: str) -> Iterator[pa.RecordBatch]:
    files = sorted(tf.io.gfile.glob(os.path.join(folder, "*")))
    records = tf.data.TFRecordDataset(files).batch(_NUM_RECORDS_PER_BATCH).prefetch(1)
    decoder = None
    for batch in records.as_numpy_iterator():
        decoder = decoder or _decoder(batch[0])
        yield decoder.DecodeBatch(batch)


def _decoder(record: bytes) -> Any:
    """Takes the wanted features out of serialized examples, which all have the features of this one."""
    schema = schema_pb2.Schema()
    for name, feature in sorted(tf.train.Example.FromString(record).features.feature.items()):
        if name not in FEATURES_WITHOUT_STATISTICS:
            schema.feature.add(name=name, type=_TYPES[feature.WhichOneof("kind")])
    return example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString())


def add_refusals(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, num_refused: dict[str, dict[str, int]]
) -> None:
    """Adds to the label's statistics how many photographs of the whole ingestion were refused, by reason and class."""
    (label,) = (item for item in statistics.datasets[0].features if item.path.step[0] == LABEL)
    for reason, counts in num_refused.items():
        for name, count in counts.items():
            label.custom_stats.add(name=f"refused / {reason} / {name or '(no class)'}", num=count)


class StatisticsGen(base_component.BaseComponent):
    """Statistics of every split: of labels, formats, sizes, weights and the source's own features."""

    SPEC_CLASS = StatisticsGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, examples: types.BaseChannel, quarantine: types.BaseChannel) -> None:
        """Makes the component.

        Args:
            examples: of ImageExampleGen.
            quarantine: of the same; its counts of refused photographs join the statistics.
        """
        super().__init__(
            spec=StatisticsGenSpec(
                code_digest=code_digest(__name__),
                examples=examples,
                quarantine=quarantine,
                statistics=types.Channel(type=standard_artifacts.ExampleStatistics),
            )
        )
