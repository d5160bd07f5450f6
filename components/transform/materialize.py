"""Beam: record files of raw examples to record files of transformed ones, one to one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import tensorflow as tf

from trainer.preprocessing import RAW_FEATURE_SPEC
from trainer.progress import Tally
from trainer.transform_graph import load_transform


@dataclass(frozen=True)
class RecordFile:
    """A file of raw examples and where its transformed examples go."""

    source: str
    target: str


@dataclass
class Materialize(beam.PTransform):
    """PCollection[RecordFile] to PCollection[int], the number of examples written per file.

    Attributes:
        transform_graph: folder of the transform graph.
        batch_size: examples that are decoded at a time.
    """

    transform_graph: str
    batch_size: int

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return files | "Spread" >> beam.Reshuffle() | "Apply" >> beam.ParDo(_Apply(self))


class _Apply(beam.DoFn):
    # One tally for the bundles that run in this process; Beam makes several copies of a DoFn.
    _tallies: dict[str, Tally] = {}

    def __init__(self, settings: Materialize) -> None:
        super().__init__()
        self._settings = settings
        self._transform: Any = None

    def setup(self) -> None:
        self._transform = load_transform(self._settings.transform_graph)

    def process(self, file: RecordFile) -> Iterable[int]:
        tally = self._tallies.setdefault(self._settings.transform_graph, Tally(None, "images"))
        num_examples = 0
        temporary = f"{file.target}.partial"
        tf.io.gfile.makedirs(temporary.rsplit("/", maxsplit=1)[0])
        with tf.io.TFRecordWriter(temporary) as writer:
            for batch in transformed_batches(file.source, self._transform, self._settings.batch_size):
                for serialized in batch:
                    writer.write(serialized)
                num_examples += len(batch)
                tally.advance(len(batch))
        tf.io.gfile.rename(temporary, file.target, overwrite=True)
        yield num_examples


def transformed_batches(source: str, transform: Any, batch_size: int) -> Iterator[list[bytes]]:
    """Yields serialized transformed examples, in the order of the source.

    Args:
        source: path of a TFRecord file of raw examples.
        transform: from raw features to transformed ones, see `trainer.transform_graph.load_transform`.
        batch_size: examples that are decoded at a time.
    """
    dataset = (
        tf.data.TFRecordDataset(source)
        .batch(batch_size)
        .map(
            lambda serialized: transform(tf.io.parse_example(serialized, RAW_FEATURE_SPEC)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .prefetch(1)
    )
    for batch in dataset.as_numpy_iterator():
        names = sorted(batch)
        yield [_serialize(names, values) for values in zip(*(batch[name] for name in names), strict=True)]


def _serialize(names: list[str], values: tuple[Any, ...]) -> bytes:
    features = {name: _feature(value) for name, value in zip(names, values, strict=True)}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _feature(value: Any) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))
