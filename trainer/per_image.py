"""Preprocessing a batch of which some images may be bad, inside the exported model."""

from typing import Any

import tensorflow as tf

from trainer.images import ACCEPTED, is_accepted_form, unpack
from trainer.transform_graph import pixels_of

EMPTY = "0 bytes"
NOT_ACCEPTED = f"not an image of an accepted form; accepted are {ACCEPTED}"
CANNOT_BE_DECODED = "cannot be decoded: truncated, damaged, too large, or of a form that is to be normalised first"


def pixels_of_good_images(saved_transform: Any, encoded: tf.Tensor, image_size_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Sends every image through the transform graph by itself, several at once; one that fails does not fail the rest.

    A data set inside the graph does it, since only a data set can go on after an error.

    Args:
        saved_transform: of `trainer.transform_graph.load_saved_transform`.
        encoded: string [batch].
        image_size_px: height and width of the result in pixels.

    Returns:
        uint8 [batch, image_size_px, image_size_px, 3], zeros for a bad image, and bool [batch], whether it is good.
    """
    shape = [image_size_px, image_size_px, 3]

    def preprocess(index: tf.Tensor, one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index, unpack(pixels_of(saved_transform, one[None])[0], image_size_px)

    images = tf.data.Dataset.from_tensor_slices(encoded).enumerate()
    good = images.map(preprocess, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).ignore_errors()
    num_images = tf.size(encoded, out_type=tf.int64)
    everything = good.batch(tf.maximum(num_images, 1))
    empty = (tf.zeros([0], tf.int64), tf.zeros([0, *shape], tf.uint8))
    indices, pixels = everything.reduce(empty, lambda _, batch: batch)
    is_good = tf.scatter_nd(indices[:, None], tf.ones_like(indices, tf.int32), num_images[None]) > 0
    full_shape = tf.concat([num_images[None], tf.constant(shape, tf.int64)], axis=0)
    return tf.ensure_shape(tf.scatter_nd(indices[:, None], pixels, full_shape), [None, *shape]), is_good


def error_texts(encoded: tf.Tensor, is_good: tf.Tensor) -> tf.Tensor:
    """Why an image is bad, as far as its first bytes tell: string [batch], "" for a good one."""
    has_accepted_form = tf.map_fn(is_accepted_form, encoded, fn_output_signature=tf.bool)
    reason = tf.where(has_accepted_form, CANNOT_BE_DECODED, NOT_ACCEPTED)
    reason = tf.where(tf.equal(tf.strings.length(encoded), 0), EMPTY, reason)
    return tf.where(is_good, "", reason)
