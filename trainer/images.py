"""From encoded bytes to pixels, with TensorFlow operations only.

The same two functions serve ingestion checks, tf.Transform, and (through the transform graph) the exported model, so
that training and serving cannot differ.
"""

from typing import Any

import tensorflow as tf

NUM_CHANNELS = 3


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG or PNG.

    Args:
        encoded: string scalar, the bytes of the file.

    Returns:
        uint8 [height, width, 3]. Greyscale is repeated over the channels, alpha is dropped.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not a whole image.
    """
    pixels = tf.io.decode_image(encoded, channels=NUM_CHANNELS, expand_animations=False)
    return tf.ensure_shape(pixels, [None, None, NUM_CHANNELS])


def resize(pixels: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """Resizes one image to a square, bilinear and antialiased.

    Antialiasing matters: without it `tf.image.resize` differs from Pillow's by up to a tenth of the range.

    Args:
        pixels: uint8 [height, width, 3].
        image_size_px: height and width of the result in pixels.

    Returns:
        uint8 [image_size_px, image_size_px, 3], rounded to the nearest value.
    """
    size = [image_size_px, image_size_px]
    resized = tf.image.resize(pixels, size, method="bilinear", antialias=True)
    rounded = tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
    return tf.ensure_shape(rounded, [*size, NUM_CHANNELS])


def decode_and_resize(encoded: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """`decode`, then `resize`: string scalar to uint8 [image_size_px, image_size_px, 3]."""
    return resize(decode(encoded), image_size_px)


def pack(pixels: tf.Tensor) -> tf.Tensor:
    """Serializes one uint8 tensor of any shape into a string scalar, a byte per value and a short header."""
    return tf.io.serialize_tensor(pixels)


def unpack(packed: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """The inverse of `pack`: string scalar to uint8 [image_size_px, image_size_px, 3]."""
    return tf.ensure_shape(tf.io.parse_tensor(packed, tf.uint8), [image_size_px, image_size_px, NUM_CHANNELS])


def map_batch(function: Any, batch: tf.Tensor, output: tf.TensorSpec) -> tf.Tensor:
    """Applies a function of one element to a batch of them, several at a time.

    Args:
        function: takes a scalar of `batch`, returns a tensor that fits `output`.
        batch: [batch].
        output: shape and dtype of one result.

    Returns:
        [batch, *output.shape] of `output.dtype`.
    """
    return tf.map_fn(function, batch, fn_output_signature=output, parallel_iterations=16)
