"""Beam: the labels of record files, without the images beside them.

TFX's own source decodes whole records in Python and in Arrow before it drops the columns that nobody asked for. With
photographs in the records, that takes longer than decoding and resizing them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf

from trainer.features import LABEL
from trainer.preprocessing import RAW_FEATURE_SPEC

_NUM_LABELS_PER_BATCH = 1024


@dataclass
class ReadLabels(beam.PTransform):
    """PCollection[str], paths of TFRecord files of raw examples, to PCollection[pa.RecordBatch] of their labels.

    Attributes:
        arrow_schema: of the batches; it has the one column "label".
    """

    arrow_schema: pa.Schema

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return files | "ReadLabels" >> beam.FlatMap(read_labels, self.arrow_schema).with_output_types(pa.RecordBatch)


def read_labels(path: str, arrow_schema: pa.Schema) -> Iterable[pa.RecordBatch]:
    """Yields the labels of one file in batches."""
    spec = {LABEL: RAW_FEATURE_SPEC[LABEL]}
    labels = tf.data.TFRecordDataset(path).map(lambda record: tf.io.parse_single_example(record, spec)[LABEL])
    for batch in labels.batch(_NUM_LABELS_PER_BATCH).as_numpy_iterator():
        column = pa.array([[label] for label in batch], type=arrow_schema.field(LABEL).type)
        yield pa.RecordBatch.from_arrays([column], schema=arrow_schema)
