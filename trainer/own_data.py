"""Images and labels as people have them, in data sets or arrays, written as the examples that training reads.

They are written once, at the size of the model: so every epoch reads what Transform would have written, in an order of
its own, and a training that was killed finds the same examples again.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.datasets import Split, open_split
from trainer.errors import ThawError
from trainer.features import LABEL_ID, PIXELS, WEIGHT
from trainer.images import pack, resize

_CHANNELS = (1, 3)
_PARALLEL = 4
_FILE_NAME = "examples"


@dataclass(frozen=True)
class OwnSplit:
    """One split as it was given.

    Attributes:
        name: in errors.
        examples: of (image [height, width, channels], label scalar, weight float32 scalar).
    """

    name: str
    examples: tf.data.Dataset

    @property
    def has_named_labels(self) -> bool:
        """Whether labels are strings."""
        return bool(self.examples.element_spec[1].dtype == tf.string)

    @property
    def has_float_images(self) -> bool:
        """Whether pixels are floating-point numbers."""
        return bool(self.examples.element_spec[0].dtype.is_floating)


def read_split(name: str, data: Any) -> OwnSplit:
    """Takes a data set, batched or not, or arrays, and checks their form.

    Args:
        name: in errors.
        data: a `tf.data.Dataset` of (image, label) or (image, label, weight), or a tuple of such arrays, along the
            first axis. Images are [height, width, 1 or 3], of any size, 0 to 255. Labels are whole numbers or strings.

    Raises:
        ThawError: it has another form.
    """
    dataset = data if isinstance(data, tf.data.Dataset) else _from_arrays(name, data)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ThawError(f"{name} has no end; leave out .repeat(): the plan says how many epochs there are")
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3) or not all(isinstance(s, tf.TensorSpec) for s in spec):
        raise ThawError(f"{name} must have elements (image, label) or (image, label, weight); it has {spec}")
    if spec[0].shape.rank == 4:
        dataset = dataset.unbatch()
    _check_spec(name, dataset.element_spec)
    return OwnSplit(name, dataset.map(_with_weight))


def class_names_of(train: OwnSplit, evaluated: OwnSplit, given: Sequence[str] | None) -> tuple[str, ...]:
    """The classes in the order of their ids: as given, else the strings of the training split in alphabetical order.

    Where labels are numbers and no names are given, the classes are called by their numbers.

    Raises:
        ThawError: there are fewer than two, some are given twice, or a class has no training example and is not named.
    """
    if train.has_named_labels != evaluated.has_named_labels:
        raise ThawError(f"labels must be numbers in both of {train.name} and {evaluated.name}, or strings in both")
    if given is not None:
        if len(set(given)) < len(given):
            raise ThawError(f"class_names has a name twice: {', '.join(given)}")
        names = tuple(given)
    elif train.has_named_labels:
        names = tuple(sorted(label.decode() for label in _distinct_labels(train)))
    else:
        names = _names_of_ids(train)
    if len(names) < 2:
        raise ThawError(f"{train.name} has fewer than two classes: {', '.join(names) or 'none'}")
    return names


def write_split(split: OwnSplit, class_names: Sequence[str], image_size_px: int, folder: Path) -> Split:
    """Writes the examples of a split, resized.

    Args:
        split: from `read_split`.
        class_names: in the order of their ids.
        image_size_px: height and width of the model's images.
        folder: is made.

    Raises:
        ThawError: a pixel, a label or a weight that cannot be right, or no example at all.
    """
    folder.mkdir(parents=True)
    ids = {name.encode(): index for index, name in enumerate(class_names)}
    largest, num_examples = 0.0, 0
    counts = np.zeros(len(class_names), np.int64)
    examples = split.examples.map(lambda *example: _packed(example, image_size_px), num_parallel_calls=_PARALLEL)
    with tf.io.TFRecordWriter(str(folder / _FILE_NAME)) as writer:
        for packed, label, weight, low, high in examples.as_numpy_iterator():
            where = f"{split.name}, example {num_examples}"
            _check_range(where, low, high)
            label_id = _id_of(where, label, ids)
            writer.write(_serialize(packed, label_id, _checked_weight(where, float(weight))))
            largest, num_examples = max(largest, float(high)), num_examples + 1
            counts[label_id] += 1
    _check_whole(split, num_examples, largest)
    _warn_of_missing(split, class_names, counts)
    return open_split(str(folder), image_size_px, split.name)


def _from_arrays(name: str, data: Any) -> tf.data.Dataset:
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise ThawError(
            f"{name} must be a tf.data.Dataset, or a tuple (images, labels) or (images, labels, weights) of arrays; "
            f"it is a {type(data).__name__}"
        )
    arrays = [np.asarray(values) for values in data]
    if len({len(values) if values.ndim else 0 for values in arrays}) > 1:
        raise ThawError(
            f"{name} has arrays of different lengths: {', '.join(str(list(values.shape)) for values in arrays)}"
        )
    if arrays[0].ndim != 4:
        raise ThawError(
            f"{name} must have images [images, height, width, 1 or 3]; they are {list(arrays[0].shape)}"
            + ("; add the channel with images[..., None]" if arrays[0].ndim == 3 else "")
        )
    return tf.data.Dataset.from_tensor_slices(tuple(_tensor(values) for values in arrays))


def _tensor(values: np.ndarray[Any, Any]) -> tf.Tensor:
    return tf.constant(values.astype(object) if values.dtype.kind == "U" else values)


def _check_spec(name: str, spec: tuple[tf.TensorSpec, ...]) -> None:
    image, label = spec[0], spec[1]
    if image.shape.rank != 3 or image.shape[-1] not in _CHANNELS:
        raise ThawError(
            f"{name} must have images [height, width, 1 or 3], or batches of them, with a known number of channels; "
            f"they are {image.shape}"
        )
    if not (image.dtype.is_integer or image.dtype.is_floating):
        raise ThawError(f"{name} must have images of numbers from 0 to 255; they are {image.dtype.name}")
    if label.shape.rank != 0 or not (label.dtype.is_integer or label.dtype == tf.string):
        raise ThawError(
            f"{name} must have one label per image, a whole number or a string; they are {label.dtype.name} "
            f"{label.shape}" + ("; of one-hot labels, take tf.argmax(label, -1)" if label.shape.rank == 1 else "")
        )
    if len(spec) == 3 and (spec[2].shape.rank != 0 or not (spec[2].dtype.is_floating or spec[2].dtype.is_integer)):
        raise ThawError(
            f"{name} must have one weight per image, a number; they are {spec[2].dtype.name} {spec[2].shape}"
        )


def _with_weight(image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor = 1.0) -> tuple[tf.Tensor, ...]:
    return image, label, tf.cast(weight, tf.float32)


def _distinct_labels(split: OwnSplit) -> list[Any]:
    """Reads the split once for it."""
    return list(split.examples.map(lambda _image, label, _weight: label).unique().as_numpy_iterator())


def _names_of_ids(train: OwnSplit) -> tuple[str, ...]:
    found = sorted(int(label) for label in _distinct_labels(train))
    expected = list(range(len(found)))
    if found != expected:
        raise ThawError(
            f"labels of {train.name} must be 0, 1, 2 … without a gap; they are {', '.join(map(str, found[:10]))}"
            f"{' …' if len(found) > 10 else ''}; number them anew, or give class_names with a name for each number"
        )
    return tuple(map(str, found))


def _packed(example: tuple[tf.Tensor, ...], image_size_px: int) -> tuple[tf.Tensor, ...]:
    image, label, weight = example
    values = tf.cast(image, tf.float32)
    # A number that is none is neither smaller nor larger than another, so it is made to be out of range.
    values = tf.where(tf.math.is_finite(values), values, -1.0)
    pixels = tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)
    if pixels.shape[-1] == 1:
        pixels = tf.repeat(pixels, 3, axis=-1)
    return pack(resize(pixels, image_size_px)), label, weight, tf.reduce_min(values), tf.reduce_max(values)


def _check_range(where: str, low: Any, high: Any) -> None:
    if not (low >= 0 and high <= 255):
        raise ThawError(
            f"{where} has pixels from {low:g} to {high:g} (-1 stands for numbers that are none, too); they must be "
            "from 0 to 255: the model scales them for its backbone itself"
        )


def _id_of(where: str, label: Any, ids: dict[bytes, int]) -> int:
    if isinstance(label, bytes):
        if label not in ids:
            known = ", ".join(name.decode() for name in ids)
            raise ThawError(f"{where} has the label {label.decode(errors='replace')!r}; the classes are {known}")
        return ids[label]
    if not 0 <= int(label) < len(ids):
        raise ThawError(f"{where} has the label {int(label)}; there are {len(ids)} classes, 0 to {len(ids) - 1}")
    return int(label)


def _checked_weight(where: str, weight: float) -> float:
    if not (np.isfinite(weight) and weight >= 0):
        raise ThawError(f"{where} has the weight {weight:g}; it must be a number that is not negative")
    return weight


def _serialize(packed: bytes, label_id: int, weight: float) -> bytes:
    features = {
        PIXELS: tf.train.Feature(bytes_list=tf.train.BytesList(value=[packed])),
        LABEL_ID: tf.train.Feature(int64_list=tf.train.Int64List(value=[label_id])),
        WEIGHT: tf.train.Feature(float_list=tf.train.FloatList(value=[weight])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _check_whole(split: OwnSplit, num_examples: int, largest: float) -> None:
    if not num_examples:
        raise ThawError(f"{split.name} has no examples")
    if split.has_float_images and largest <= 1:
        raise ThawError(
            f"{split.name} has no pixel above {largest:g}, as if scaled to 0 … 1; give 0 … 255, images * 255: "
            "the model scales them for its backbone itself"
        )


def _warn_of_missing(split: OwnSplit, class_names: Sequence[str], counts: np.ndarray[Any, Any]) -> None:
    missing = [name for name, count in zip(class_names, counts, strict=True) if not count]
    if missing:
        warnings.warn(f"{split.name} has no example of {', '.join(missing)}", stacklevel=4)
