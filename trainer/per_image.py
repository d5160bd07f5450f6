"""Preprocessing a batch of which some images may be bad, inside the exported model.

A graph cannot catch an error, but a data set can leave out the elements that raise one. So each image goes through the
transform graph as an element of a data set in the graph, once, and those that come out are the good ones. The data set
is read as one batch by `get_single_element`: iterating over it, as `reduce` does, would cost 10 ms a call more.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.images import ACCEPTED, is_accepted_form, is_taken, unpack_batch
from trainer.transform_graph import pixels_of

EMPTY = "0 bytes"
NOT_ACCEPTED = f"not an image of an accepted form; accepted are {ACCEPTED}"
NOT_TAKEN = "an accepted format, but of a kind or size that this model does not take; it takes"
DAMAGED = "damaged: cannot be decoded"

# A PNG of one pixel.
_PLACEHOLDER = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a494441"
    "54789c636000000002000148afa4710000000049454e44ae426082"
)
# A file as short ends within its header; some of a few pixels do not, and are good.
_HEADER_SIZE = 40
_NUM_PARALLEL = 16


def pixels_of_good_images(saved_transform: Any, encoded: tf.Tensor, image_size_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Sends a batch through the transform graph, and leaves out the images on which it fails.

    Args:
        saved_transform: of `trainer.transform_graph.load_saved_transform`.
        encoded: string [batch].
        image_size_px: height and width of the result in pixels.

    Returns:
        uint8 [good, image_size_px, image_size_px, 3] and their positions in the batch, ascending, int32 [good]. A model
        cannot be called with no image at all, so where none is good there is a placeholder, whose position is `batch`.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the transform graph fails on any image whatsoever.
    """
    positions, packed = _map_good(lambda one: pixels_of(saved_transform, one[None])[0], encoded)
    num_used = tf.maximum(tf.size(positions) - 1, 1)
    return unpack_batch(packed[:num_used], image_size_px), positions[:num_used]


def error_texts(encoded: tf.Tensor, is_good: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Why images have no pixels: string [batch], "" for the good ones.

    Args:
        encoded: string [batch].
        is_good: bool [batch].
        max_pixels: the most pixels that the transform graph takes.
    """
    none = tf.fill(tf.shape(encoded), "")
    return tf.cond(tf.reduce_all(is_good), lambda: none, lambda: _reasons(encoded, is_good, max_pixels))


def _reasons(encoded: tf.Tensor, is_good: tf.Tensor, max_pixels: int) -> tf.Tensor:
    positions, reasons = _map_good(lambda one: _reason(one, max_pixels), tf.where(is_good, _PLACEHOLDER, encoded))
    # What has no reason has a header that cannot be read.
    texts = tf.fill(tf.shape(encoded) + 1, DAMAGED)
    texts = tf.tensor_scatter_nd_update(texts, positions[:, None], reasons)[:-1]
    return tf.where(is_good, "", texts)


def _reason(encoded: tf.Tensor, max_pixels: int) -> tf.Tensor:
    num_bytes = tf.strings.length(encoded)
    is_damaged = is_taken(encoded, max_pixels) | (num_bytes < _HEADER_SIZE)
    of_accepted_form = tf.where(is_damaged, DAMAGED, f"{NOT_TAKEN} {ACCEPTED}, of at most {max_pixels} pixels")
    of_any_form = tf.where(is_accepted_form(encoded), of_accepted_form, NOT_ACCEPTED)
    return tf.where(tf.equal(num_bytes, 0), EMPTY, of_any_form)


def _map_good(function: Callable[[tf.Tensor], tf.Tensor], encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies a function to each image, and leaves out those on which it raises an error.

    The last one is a placeholder: the data set is never empty, and if the function fails on that, the images are not to
    blame.

    Args:
        function: string scalar to a scalar.
        encoded: string [batch].

    Returns:
        int32 [good + 1], ascending, the last one `batch`; and [good + 1] of the function's results.
    """
    num_all = tf.size(encoded) + 1
    elements = tf.range(num_all), tf.concat([encoded, [_PLACEHOLDER]], axis=0)
    results = tf.data.Dataset.from_tensor_slices(elements).map(
        lambda position, one: (position, function(one)), num_parallel_calls=_NUM_PARALLEL
    )
    batch = results.ignore_errors().batch(tf.cast(num_all, tf.int64)).with_options(_without_rewriting())
    positions, values = batch.get_single_element()
    is_right = tf.debugging.assert_equal(positions[-1], num_all - 1, "the model fails on an image that is good")
    with tf.control_dependencies([is_right]):
        return tf.identity(positions), values


def _without_rewriting() -> tf.data.Options:
    """What a data set of one use need not spend time on."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return options
