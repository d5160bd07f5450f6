"""EXIF orientation in a TensorFlow graph: the twin of `trainer.orientation`, for the exported model."""

from typing import Any

import tensorflow as tf

from trainer.branching import either
from trainer.orientation import BIG_ENDIAN, LITTLE_ENDIAN, ORIENTATION_TAG, TYPE_SIZES, UPRIGHT

_ENTRY_SIZE = 12
_WHOLE_NUMBERS_OF_2_BYTES = (3, 8)
_WHOLE_NUMBERS_OF_4_BYTES = (4, 9, 13)


def read_orientation(exif: tf.Tensor) -> tf.Tensor:
    """Reads the orientation from the body of EXIF data.

    Args:
        exif: uint8 [num_bytes], a TIFF structure, without the "Exif" identifier.

    Returns:
        int32 scalar, 1 to 8; 1 where the data are malformed or say nothing of it. Never an error.
    """
    head = tf.pad(exif[:8], [[0, tf.maximum(0, 8 - tf.size(exif))]])
    is_little = _begins_with(head, LITTLE_ENDIAN)
    is_exif = (is_little | _begins_with(head, BIG_ENDIAN)) & (tf.size(exif) >= 8)
    start = _whole_number(head[4:8], is_little)
    is_inside = is_exif & (start + 2 <= _size(exif))
    return tf.cond(is_inside, lambda: _search(exif, start, is_little), lambda: tf.constant(UPRIGHT))


def _search(exif: tf.Tensor, start: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    """The last entry for the orientation counts; an entry that points out of the data ends the search."""
    num_entries = tf.minimum(
        _whole_number(exif[start : start + 2], is_little), (_size(exif) - start - 2) // _ENTRY_SIZE
    )
    table = exif[start + 2 : start + 2 + num_entries * _ENTRY_SIZE]
    entries = tf.reshape(table, [-1, _ENTRY_SIZE])
    tag, kind = (_whole_number(entries[:, at : at + 2], is_little) for at in (0, 2))
    count, place = (_whole_number(entries[:, at : at + 4], is_little) for at in (4, 8))
    size = _sizes_of(kind) * count
    is_outside = (size > 4) & (place + size > _size(exif))
    is_reached = tf.equal(tf.cumsum(tf.cast(is_outside, tf.int32)), 0)
    found = tf.where(is_reached & tf.equal(tag, ORIENTATION_TAG) & (size > 0))[:, 0]
    return tf.cond(
        tf.size(found) > 0,
        lambda: _value_of(exif, start + 2 + _ENTRY_SIZE * found[-1], kind[found[-1]], size[found[-1]], is_little),
        lambda: tf.constant(UPRIGHT),
    )


def _value_of(exif: tf.Tensor, entry: tf.Tensor, kind: tf.Tensor, size: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    inline = exif[entry + 8 : entry + 12]
    place = tf.where(size > 4, _whole_number(inline, is_little), entry + 8)
    short = _whole_number(exif[place : place + 2], is_little)
    long = tf.cond(
        place + 4 <= _size(exif),
        lambda: _whole_number(exif[place : place + 4], is_little),
        lambda: tf.constant(0, tf.int64),
    )
    value = tf.where(_is_one_of(kind, _WHOLE_NUMBERS_OF_2_BYTES), short, long)
    is_number = _is_one_of(kind, _WHOLE_NUMBERS_OF_2_BYTES + _WHOLE_NUMBERS_OF_4_BYTES)
    is_orientation = is_number & (value >= 1) & (value <= 8)
    return tf.where(is_orientation, tf.cast(value, tf.int32), UPRIGHT)


def _size(data: tf.Tensor) -> tf.Tensor:
    return tf.size(data, out_type=tf.int64)


def _sizes_of(kind: tf.Tensor) -> tf.Tensor:
    table = tf.constant([TYPE_SIZES.get(number, 0) for number in range(18)], tf.int64)
    return tf.gather(table, tf.minimum(kind, 17))


def _is_one_of(value: tf.Tensor, allowed: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value[..., None], tf.constant(allowed, value.dtype)), axis=-1)


def _begins_with(head: tf.Tensor, magics: tuple[bytes, ...]) -> tf.Tensor:
    table = tf.constant([list(magic) for magic in magics], tf.uint8)
    return tf.reduce_any(tf.reduce_all(tf.equal(head[None, :4], table), axis=1))


def _whole_number(data: tf.Tensor, is_little: tf.Tensor) -> tf.Tensor:
    """uint8 [..., 2 or 4] to int64 [...], unsigned."""
    num_bytes = data.shape[-1] or tf.shape(data)[-1]
    shifts = 8 * tf.range(tf.cast(num_bytes, tf.int64), dtype=tf.int64)
    weights = tf.bitwise.left_shift(tf.ones_like(shifts), tf.where(is_little, shifts, shifts[::-1]))
    return tf.reduce_sum(tf.cast(data, tf.int64) * weights, axis=-1)


def turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Makes an image upright.

    Args:
        pixels: [height, width, channels].
        orientation: int32 scalar, 1 to 8.

    Returns:
        [height, width, channels], with the two sizes exchanged for 5 to 8.
    """

    # Slices with a negative step would take five times as long.
    def turned(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
        is_transposed = orientation >= 5
        upright = tf.cond(is_transposed, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        # By orientation: whether the rows, and whether the columns, are then in the wrong order.
        rows_are_reversed = _is_one_of(orientation, (3, 4, 7, 8))
        columns_are_reversed = _is_one_of(orientation, (2, 3, 6, 7))
        upright = tf.cond(rows_are_reversed, lambda: tf.reverse(upright, [0]), lambda: upright)
        return tf.cond(columns_are_reversed, lambda: tf.reverse(upright, [1]), lambda: upright)

    result: Any = either(tf.equal(orientation, UPRIGHT), lambda pixels, _: pixels, turned, pixels, orientation)
    return result
