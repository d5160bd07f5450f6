"""Preprocessing a batch of which some images may be of a form that is not accepted, inside the exported model.

An image is judged by its first bytes, and one that is refused is replaced, so that it does not fail the others. A
damaged image of an accepted form still fails the call. (A data set in the graph that goes on after errors could tell
those, too, but is built anew in each call: measured, 0.8 to 3 s a call in place of 4 ms.)
"""

from typing import Any

import tensorflow as tf

from trainer.images import ACCEPTED, is_accepted_form, unpack
from trainer.transform_graph import pixels_of

EMPTY = "0 bytes"
NOT_ACCEPTED = f"not an image of an accepted form; accepted are {ACCEPTED}"

# A PNG of one pixel.
_PLACEHOLDER = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a494441"
    "54789c636000000002000148afa4710000000049454e44ae426082"
)


def pixels_of_good_images(saved_transform: Any, encoded: tf.Tensor, image_size_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Sends a batch through the transform graph, with a placeholder for each image that is refused.

    Args:
        saved_transform: of `trainer.transform_graph.load_saved_transform`.
        encoded: string [batch].
        image_size_px: height and width of the result in pixels.

    Returns:
        uint8 [max(batch, 1), image_size_px, image_size_px, 3] and bool [batch], whether each image is good. A model
        cannot be called with no image at all, so an empty batch gives the pixels of a placeholder.
    """
    is_good = tf.map_fn(is_accepted_form, encoded, fn_output_signature=tf.bool)
    num_more = tf.cast(tf.equal(tf.size(encoded), 0), tf.int32)
    safe = tf.concat([tf.where(is_good, encoded, _PLACEHOLDER), tf.fill([num_more], _PLACEHOLDER)], axis=0)
    spec = tf.TensorSpec([image_size_px, image_size_px, 3], tf.uint8)
    packed = pixels_of(saved_transform, safe)
    return tf.map_fn(lambda one: unpack(one, image_size_px), packed, fn_output_signature=spec), is_good


def error_texts(encoded: tf.Tensor, is_good: tf.Tensor) -> tf.Tensor:
    """Why an image is refused: string [batch], "" for a good one."""
    reason = tf.where(tf.equal(tf.strings.length(encoded), 0), EMPTY, NOT_ACCEPTED)
    return tf.where(is_good, "", reason)
