"""Input pipelines over transformed examples: every example once per epoch, in batches that any replicas can share.

A batch is (inputs, label ids, weights). All batches have the full global size: the last one of an epoch is filled up
with examples of weight 0. That removes two hazards of MirroredStrategy: a first batch that does not divide by the
number of replicas crashes, and the shares of a ragged batch would count unequally.

`loss_share` is what each example counts in the loss of its batch: its weight, over the split's mean weight, over the
batch's number of real examples. So each example counts in proportion to its weight over the whole epoch, not only
within the batch that chance put it into, and to double all weights changes nothing. Without weights the shares of a
batch add up to 1. They do not depend on the replicas, so one and several compute the same gradients from the same
global batches. `position` counts the examples of a phase: what is drawn at random for an example follows from it, and
so does not depend on the replica that the example lies on.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import input_options
from trainer.errors import ThawError
from trainer.example_weights import WEIGHT_SPEC, check_weights, weights_of
from trainer.features import LABEL_ID, PIXELS, WEIGHT
from trainer.images import unpack

_FEATURE_SPEC = {
    PIXELS: tf.io.FixedLenFeature([], tf.string),
    LABEL_ID: tf.io.FixedLenFeature([], tf.int64),
    WEIGHT: WEIGHT_SPEC,
}
# Memory that shuffling may take; below it the whole split is shuffled.
_MAX_SHUFFLE_BYTES = 512 * 1024**2
_NUM_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Split:
    """The transformed examples of one split.

    Attributes:
        files: TFRecord files, in order.
        num_examples: how many they hold.
        image_size_px: height and width of the images.
        mean_weight: of the examples; above 0.
    """

    files: tuple[str, ...]
    num_examples: int
    image_size_px: int
    mean_weight: float = 1.0

    def num_batches(self, global_batch_size: int) -> int:
        """Batches per epoch, the last, filled-up one included."""
        return math.ceil(self.num_examples / global_batch_size)


def open_split(folder: str, image_size_px: int, name: str | None = None) -> Split:
    """Finds the files of a split, counts their examples and checks their weights.

    Args:
        folder: holds TFRecord files of transformed examples.
        image_size_px: height and width that the preprocessing graph resized to.
        name: of the split, for errors; the folder where not given.

    Raises:
        ThawError: there are none, a weight is negative or no number, or all are 0.
    """
    name = name or repr(folder)
    files = tuple(sorted(tf.io.gfile.glob(os.path.join(folder, "*"))))
    weights = weights_of(files)
    if not len(weights):
        raise ThawError(f"no examples in {name}")
    check_weights(weights, name)
    return Split(files, len(weights), image_size_px, float(weights.mean()))


def training_batches(
    split: Split,
    global_batch_size: int,
    seed: int,
    num_epochs: int,
    first_step: int = 0,
    num_views: int | None = None,
) -> tf.data.Dataset:
    """All epochs, one after the other, each shuffled in an order of its own.

    The order is a function of the seed and the epoch's number alone. `reshuffle_each_iteration` would make it depend on
    how often, and by which distribution strategy, the dataset has been iterated before; so would TensorFlow's global
    seed, which joins every operation's own.

    Args:
        split: the training examples.
        global_batch_size: examples per step, over all replicas.
        seed: of the shuffling.
        num_epochs: passes over the split; each is `split.num_batches(global_batch_size)` steps.
        first_step: the step to begin with; those before it are left out.
        num_views: if given, a position stands for an image and one of so many views, which take turns with the epochs.

    Returns:
        Dataset of ({"pixels": uint8 [batch, size, size, 3], "loss_share": float32 [batch], "position": int64 [batch]},
        int64 [batch], float32 [batch]).
    """

    def epoch(number: tf.Tensor, first_batch: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(split.files).enumerate()
        shuffled = in_order_of(records, split, global_batch_size, seed, number)
        before = number * split.num_batches(global_batch_size)
        batches = _batches(shuffled, split, global_batch_size, first_batch, before)
        return batches if num_views is None else batches.map(lambda *batch: _in_view(batch, number, num_views))

    return in_epochs(split, global_batch_size, num_epochs, first_step, epoch).map(_without_number)


def in_order_of(
    elements: tf.data.Dataset, split: Split, global_batch_size: int, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """One element for each example of a split, in the order of an epoch; what the elements are is nothing to it."""
    bytes_per_record = split.image_size_px**2 * 3 + 128
    buffer_size = max(global_batch_size, min(split.num_examples, _MAX_SHUFFLE_BYTES // bytes_per_record))
    # Of this function's graph only. With a global seed of 0, `shuffle` compares a seed that is a tensor with 0, in
    # Python, and fails: tensorflow.python.framework.random_seed.get_seed.
    tf.compat.v1.set_random_seed(1)
    return elements.shuffle(buffer_size, seed=_mix(seed, epoch), reshuffle_each_iteration=False)


def in_epochs(
    split: Split,
    global_batch_size: int,
    num_epochs: int,
    first_step: int,
    epoch: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset],
) -> tf.data.Dataset:
    """The batches of all epochs from a step on.

    Args:
        split: the training examples.
        global_batch_size: examples per step, over all replicas.
        num_epochs: passes over the split.
        first_step: the step to begin with.
        epoch: the batches of an epoch, from its number and from the first of its batches that is wanted, int64 [].
    """
    num_batches = split.num_batches(global_batch_size)
    first_epoch, num_skipped = divmod(first_step, num_batches)
    batches = tf.data.Dataset.range(first_epoch, num_epochs).flat_map(
        lambda number: epoch(number, tf.where(number == first_epoch, tf.constant(num_skipped, tf.int64), 0))
    )
    return finished(batches, num_epochs * num_batches - first_step)


def evaluation_batches(split: Split, global_batch_size: int) -> tf.data.Dataset:
    """All examples in the order of the files; elements as in `training_batches`."""
    return batches_in_order(split, global_batch_size, 0, split.num_batches(global_batch_size)).map(_without_number)


def batches_in_order(split: Split, global_batch_size: int, first_example: int, num_batches: int) -> tf.data.Dataset:
    """Examples in the order of the files, from one on; where there are none left, blank ones of weight 0.

    Returns:
        As `evaluation_batches`, with "number" among the inputs, the place in the split, int64 [batch].
    """
    records = tf.data.TFRecordDataset(split.files).enumerate().skip(first_example)
    num_padding = max(0, first_example + num_batches * global_batch_size - split.num_examples)
    none = tf.constant(0, tf.int64)
    batches = _batches(records, split, global_batch_size, none, none, num_padding)
    return finished(batches.take(num_batches), num_batches)


def images_at(split: Split, places: Sequence[int]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Single examples of a split, at least one.

    Args:
        split: where they are.
        places: in the order of the files, from 0; rising.

    Returns:
        Pixels, uint8 [places, size, size, 3], and label ids, int64 [places].
    """
    wanted = tf.constant(places, tf.int64)
    records = tf.data.TFRecordDataset(split.files).enumerate()
    found = records.filter(lambda place, _: tf.reduce_any(tf.equal(place, wanted))).take(len(places))
    examples = [tf.io.parse_single_example(serialized, _FEATURE_SPEC) for _, serialized in found]
    pixels = [unpack(example[PIXELS], split.image_size_px).numpy() for example in examples]
    return np.stack(pixels), np.array([int(example[LABEL_ID]) for example in examples])


def label_counts(split: Split, num_classes: int) -> list[float]:
    """The sum of the weights of each class's examples, in the order of the label ids; their number if all weigh 1."""
    spec = {name: _FEATURE_SPEC[name] for name in (LABEL_ID, WEIGHT)}
    examples = tf.data.TFRecordDataset(split.files).map(
        lambda serialized: tf.io.parse_single_example(serialized, spec),
        num_parallel_calls=input_options.num_parallel_calls(),
    )
    start = tf.zeros([num_classes], tf.float64)
    counts = examples.reduce(
        start,
        lambda sums, example: (
            sums + tf.cast(example[WEIGHT], tf.float64) * tf.one_hot(example[LABEL_ID], num_classes, dtype=tf.float64)
        ),
    )
    return [float(count) for count in counts]


def _batches(
    records: tf.data.Dataset,
    split: Split,
    global_batch_size: int,
    first_batch: tf.Tensor,
    num_batches_before: tf.Tensor,
    num_padding: int | None = None,
) -> tf.data.Dataset:
    """One epoch from `first_batch` on; `num_batches_before` is how many the epochs before it had.

    The records are numbered, and the numbers go with them.
    """
    if num_padding is None:
        num_padding = split.num_batches(global_batch_size) * global_batch_size - split.num_examples
    size = split.image_size_px

    def parse(number: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
        example = tf.io.parse_single_example(serialized, _FEATURE_SPEC)
        values = {"pixels": unpack(example[PIXELS], size), "number": number}
        return values, example[LABEL_ID], example[WEIGHT], tf.constant(1.0)

    records = records.skip(first_batch * global_batch_size)
    examples = records.map(parse, num_parallel_calls=input_options.num_parallel_calls())
    if num_padding:
        blank = {"pixels": tf.zeros([size, size, 3], tf.uint8), "number": tf.constant(split.num_examples, tf.int64)}
        nothing = (blank, tf.constant(0, tf.int64), tf.constant(0.0), tf.constant(0.0))
        examples = examples.concatenate(tf.data.Dataset.from_tensors(nothing).repeat(num_padding))
    batches = examples.batch(global_batch_size, drop_remainder=True)
    return batches.enumerate(num_batches_before + first_batch).map(
        lambda number, batch: with_share_and_position(number, batch, split.mean_weight)
    )


def _mix(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """One seed from two numbers, such that no two phases or epochs of a run share one."""
    return tf.cast(seed, tf.int64) * 1_000_003 + epoch


def with_share_and_position(
    number: tf.Tensor, batch: tuple[Any, ...], mean_weight: float
) -> tuple[dict[str, Any], tf.Tensor, tf.Tensor]:
    """A batch as training takes it.

    Args:
        number: of the batch within the phase, int64 [].
        batch: inputs by name, label ids, weights, and 1 for each real example or 0 for padding: all [batch, …].
        mean_weight: of the split.
    """
    values, label_id, weight, is_real = batch
    batch_size = weight.shape[0]
    inputs = {
        **values,
        "loss_share": weight / (tf.reduce_sum(is_real) * mean_weight),
        "position": number * batch_size + tf.range(batch_size, dtype=tf.int64),
    }
    return inputs, label_id, weight


def _in_view(batch: tuple[Any, ...], epoch: tf.Tensor, num_views: int) -> tuple[Any, ...]:
    inputs, *others = batch
    return {**inputs, "position": inputs["number"] * num_views + epoch % num_views}, *others


def _without_number(inputs: dict[str, tf.Tensor], *others: tf.Tensor) -> tuple[Any, ...]:
    return {name: value for name, value in inputs.items() if name != "number"}, *others


def finished(batches: tf.data.Dataset, num_batches: int) -> tf.data.Dataset:
    """Of known length, in a fixed order, the same on every worker, and prefetched."""
    options = input_options.without_autotuning()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    counted = batches.apply(tf.data.experimental.assert_cardinality(num_batches))
    return counted.with_options(options).prefetch(_NUM_BATCHES_AHEAD)
