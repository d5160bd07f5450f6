"""Beam: record files of raw examples to record files of transformed ones, one to one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf

from components.whole_files import partial_of, put_in_place
from trainer import input_options
from trainer.features import WEIGHT
from trainer.preprocessing import RAW_FEATURE_SPEC
from trainer.progress import Tally
from trainer.transform_graph import Features, load_transform

# Not part of the transform graph, which is that of served images, too.
_WEIGHT_SPEC = {WEIGHT: tf.io.FixedLenFeature([], tf.float32, default_value=1.0)}

Transform = Callable[[Features], Features]


@dataclass(frozen=True)
class RecordFile:
    """A file of raw examples and where its transformed examples go."""

    source: str
    target: str


@dataclass(frozen=True)
class RecordFiles:
    """What one worker takes at a time."""

    files: tuple[RecordFile, ...]


@dataclass
class Materialize(beam.PTransform):
    """PCollection[RecordFiles] to PCollection[int], the number of examples written for each.

    The files of an element go through one input pipeline: to start one takes as long as a hundred photographs do.

    Attributes:
        transform_graph: folder of the transform graph.
        batch_size: examples that are decoded at a time.
    """

    transform_graph: str
    batch_size: int

    def expand(self, groups: beam.PCollection) -> beam.PCollection:
        return groups | "Spread" >> beam.Reshuffle() | "Apply" >> beam.ParDo(_Apply(self))


class _Apply(beam.DoFn):
    # One tally for the bundles that run in this process; Beam makes several copies of a DoFn.
    _tallies: dict[str, Tally] = {}

    def __init__(self, settings: Materialize) -> None:
        super().__init__()
        self._settings = settings
        self._transform: Any = None

    def setup(self) -> None:
        self._transform = load_transform(self._settings.transform_graph)

    def process(self, group: RecordFiles) -> Iterable[int]:
        tally = self._tallies.setdefault(self._settings.transform_graph, Tally(None, "images"))
        yield materialize(group.files, self._transform, self._settings.batch_size, tally)


def materialize(files: Sequence[RecordFile], transform: Transform, batch_size: int, tally: Tally) -> int:
    """Writes the transformed examples of each file, in its order, and returns how many there are.

    A target is written under a temporary name and renamed when all of them are whole.
    """
    num_examples = 0
    partial = [partial_of(file.target) for file in files]
    with ExitStack() as stack:
        writers = [stack.enter_context(tf.io.TFRecordWriter(path)) for path in partial]
        for indices, examples in transformed_batches([file.source for file in files], transform, batch_size):
            for index, example in zip(indices, examples, strict=True):
                writers[index].write(example)
            num_examples += len(examples)
            tally.advance(len(examples))
    for path, file in zip(partial, files, strict=True):
        put_in_place(path, file.target)
    return num_examples


def transformed_batches(
    sources: Sequence[str], transform: Transform, batch_size: int
) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yields serialized transformed examples, in the order of the sources, each with the index of its source.

    Args:
        sources: paths of TFRecord files of raw examples.
        transform: from raw features to transformed ones, see `trainer.transform_graph.load_transform`.
        batch_size: examples that are decoded at a time.
    """

    def read(index: tf.Tensor, source: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(source).map(lambda record: (index, record))

    def apply(indices: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, Features]:
        features = tf.io.parse_example(serialized, {**RAW_FEATURE_SPEC, **_WEIGHT_SPEC})
        weights = features.pop(WEIGHT)
        return indices, {**transform(features), WEIGHT: weights}

    dataset = (
        tf.data.Dataset.from_tensor_slices(list(sources))
        .enumerate()
        .flat_map(read)
        .batch(batch_size)
        .map(apply, num_parallel_calls=input_options.num_parallel_calls())
        .prefetch(1)
        .with_options(input_options.without_autotuning())
    )
    for indices, features in dataset.as_numpy_iterator():
        names = sorted(features)
        columns = zip(*(features[name] for name in names), strict=True)
        yield indices.tolist(), [_serialize(names, values) for values in columns]


def _serialize(names: list[str], values: tuple[Any, ...]) -> bytes:
    example = tf.train.Example()
    for name, value in zip(names, values, strict=True):
        # In place: each message that is handed to another one's constructor would copy the pixels.
        _set(example.features.feature[name], value)
    return example.SerializeToString(deterministic=True)


def _set(feature: tf.train.Feature, value: Any) -> None:
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
    elif np.issubdtype(np.asarray(value).dtype, np.floating):
        feature.float_list.value.append(float(value))
    else:
        feature.int64_list.value.append(int(value))
