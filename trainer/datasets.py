"""Input pipelines over transformed examples: every example once per epoch, in batches that any replicas can share.

A batch is (inputs, label ids, weights). All batches have the full global size: the last one of an epoch is filled up
with examples of weight 0. That removes two hazards of MirroredStrategy: a first batch that does not divide by the
number of replicas crashes, and the shares of a ragged batch would count unequally. `loss_share` is what each example
counts in the loss of its batch; over all replicas the shares add up to 1, so one replica and several compute the same
gradients from the same global batches. `position` counts the examples of a phase: what is drawn at random for an
example follows from it, and so does not depend on the replica that the example lies on.
"""

import math
import os
from dataclasses import dataclass

import tensorflow as tf

from trainer import input_options
from trainer.errors import ThawError
from trainer.features import LABEL_ID, PIXELS
from trainer.images import unpack

_FEATURE_SPEC = {
    PIXELS: tf.io.FixedLenFeature([], tf.string),
    LABEL_ID: tf.io.FixedLenFeature([], tf.int64),
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
    """

    files: tuple[str, ...]
    num_examples: int
    image_size_px: int

    def num_batches(self, global_batch_size: int) -> int:
        """Batches per epoch, the last, filled-up one included."""
        return math.ceil(self.num_examples / global_batch_size)


def open_split(folder: str, image_size_px: int) -> Split:
    """Finds the files of a split and counts their examples.

    Args:
        folder: holds TFRecord files of transformed examples.
        image_size_px: height and width that the preprocessing graph resized to.

    Raises:
        ThawError: there are none.
    """
    files = tuple(sorted(tf.io.gfile.glob(os.path.join(folder, "*"))))
    num_examples = int(tf.data.TFRecordDataset(files).reduce(0, lambda count, _: count + 1)) if files else 0
    if not num_examples:
        raise ThawError(f"no examples in {folder!r}")
    return Split(files, num_examples, image_size_px)


def training_batches(
    split: Split, global_batch_size: int, seed: int, num_epochs: int, first_step: int = 0
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

    Returns:
        Dataset of ({"pixels": uint8 [batch, size, size, 3], "loss_share": float32 [batch], "position": int64 [batch]},
        int64 [batch], float32 [batch]).
    """
    num_batches = split.num_batches(global_batch_size)
    first_epoch, num_skipped = divmod(first_step, num_batches)
    bytes_per_record = split.image_size_px**2 * 3 + 128
    buffer_size = max(global_batch_size, min(split.num_examples, _MAX_SHUFFLE_BYTES // bytes_per_record))
    records = tf.data.TFRecordDataset(split.files)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # Of this function's graph only. With a global seed of 0, `shuffle` compares a seed that is a tensor with 0, in
        # Python, and fails: tensorflow.python.framework.random_seed.get_seed.
        tf.compat.v1.set_random_seed(1)
        shuffled = records.shuffle(buffer_size, seed=_mix(seed, number), reshuffle_each_iteration=False)
        first_batch = tf.where(number == first_epoch, tf.constant(num_skipped, tf.int64), 0)
        return _batches(shuffled, split, global_batch_size, first_batch, number * num_batches)

    return _finished(
        tf.data.Dataset.range(first_epoch, num_epochs).flat_map(epoch), num_epochs * num_batches - first_step
    )


def evaluation_batches(split: Split, global_batch_size: int) -> tf.data.Dataset:
    """All examples in the order of the files; elements as in `training_batches`."""
    none = tf.constant(0, tf.int64)
    batches = _batches(tf.data.TFRecordDataset(split.files), split, global_batch_size, none, none)
    return _finished(batches, split.num_batches(global_batch_size))


def label_counts(split: Split, num_classes: int) -> list[int]:
    """How many examples each class has, in the order of the label ids."""
    label_ids = tf.data.TFRecordDataset(split.files).map(
        lambda serialized: tf.io.parse_single_example(serialized, _FEATURE_SPEC)[LABEL_ID],
        num_parallel_calls=input_options.num_parallel_calls(),
    )
    start = tf.zeros([num_classes], tf.int64)
    counts = label_ids.reduce(start, lambda sums, label_id: sums + tf.one_hot(label_id, num_classes, dtype=tf.int64))
    return [int(count) for count in counts]


def _batches(
    records: tf.data.Dataset,
    split: Split,
    global_batch_size: int,
    first_batch: tf.Tensor,
    num_batches_before: tf.Tensor,
) -> tf.data.Dataset:
    """One epoch from `first_batch` on; `num_batches_before` is how many the epochs before it had."""
    num_padding = split.num_batches(global_batch_size) * global_batch_size - split.num_examples
    size = split.image_size_px

    def parse(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(serialized, _FEATURE_SPEC)
        return unpack(example[PIXELS], size), example[LABEL_ID], tf.constant(1.0)

    records = records.skip(first_batch * global_batch_size)
    examples = records.map(parse, num_parallel_calls=input_options.num_parallel_calls())
    if num_padding:
        nothing = (tf.zeros([size, size, 3], tf.uint8), tf.constant(0, tf.int64), tf.constant(0.0))
        examples = examples.concatenate(tf.data.Dataset.from_tensors(nothing).repeat(num_padding))
    batches = examples.batch(global_batch_size, drop_remainder=True)
    return batches.enumerate(num_batches_before + first_batch).map(_with_share_and_position)


def _mix(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """One seed from two numbers, such that no two phases or epochs of a run share one."""
    return tf.cast(seed, tf.int64) * 1_000_003 + epoch


def _with_share_and_position(
    number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    pixels, label_id, weight = batch
    batch_size = weight.shape[0]
    inputs = {
        "pixels": pixels,
        "loss_share": weight / tf.reduce_sum(weight),
        "position": number * batch_size + tf.range(batch_size, dtype=tf.int64),
    }
    return inputs, label_id, weight


def _finished(batches: tf.data.Dataset, num_batches: int) -> tf.data.Dataset:
    """Of known length, in a fixed order, the same on every worker, and prefetched."""
    options = input_options.without_autotuning()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    counted = batches.apply(tf.data.experimental.assert_cardinality(num_batches))
    return counted.with_options(options).prefetch(_NUM_BATCHES_AHEAD)
