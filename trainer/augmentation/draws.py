"""Random numbers that are a function of an example's seed and of what they are for, and of nothing else.

TensorFlow's stateless generators take one seed per call: numbers for a batch would depend on the example's place in it,
and so on the number of replicas. Here each example has a seed of its own and all are drawn at once, with the finaliser
of MurmurHash3 (Austin Appleby, public domain) as the source of bits.
"""

import zlib

import tensorflow as tf

_GOLDEN_RATIO = 0x9E3779B9  # 2³² over the golden ratio: multiples of it lie evenly


def uniform(seeds: tf.Tensor, purpose: str, low: float | tf.Tensor = 0.0, high: float | tf.Tensor = 1.0) -> tf.Tensor:
    """A number from low to below high for each example.

    Args:
        seeds: int32 [batch, 2].
        purpose: what the number is for; numbers for different purposes are independent.
        low: a number, or float32 [batch].
        high: likewise.

    Returns:
        float32 [batch].
    """
    return low + (high - low) * _to_unit(_keys(seeds, purpose))


def integers(seeds: tf.Tensor, purpose: str, num_values: int) -> tf.Tensor:
    """An integer from 0 to below `num_values` (at most 2²⁴) for each example: int32 [batch]."""
    return tf.cast(tf.floor(uniform(seeds, purpose) * num_values), tf.int32)


def signs(seeds: tf.Tensor, purpose: str) -> tf.Tensor:
    """-1 or 1 for each example, equally often: float32 [batch]."""
    return tf.where(uniform(seeds, purpose) < 0.5, -1.0, 1.0)


def happens(seeds: tf.Tensor, purpose: str, probability: float) -> tf.Tensor:
    """Whether something of that probability happens to each example: bool [batch]."""
    return uniform(seeds, purpose) < probability


def noise(seeds: tf.Tensor, purpose: str, height_px: int, width_px: int) -> tf.Tensor:
    """Independent numbers from 0 to below 1: float32 [batch, height_px, width_px, 3]."""
    rows = _mix(_keys(seeds, purpose)[:, None] + _multiples(height_px))
    columns = _mix(_keys(seeds, purpose + " columns")[:, None] + _multiples(width_px * 3))
    # Two short lists of keys make one large field: a third of the work of a key per value.
    field = tf.bitwise.bitwise_xor(rows[:, :, None], columns[:, None, :])
    return tf.reshape(_to_unit(_mix(field)), [-1, height_px, width_px, 3])


def _keys(seeds: tf.Tensor, purpose: str) -> tf.Tensor:
    """Random bits for each example: uint32 [batch]."""
    words = tf.bitcast(seeds, tf.uint32)
    salt = tf.constant(zlib.crc32(purpose.encode()), tf.uint32)
    first = _mix(tf.bitwise.bitwise_xor(words[:, 0], salt) + tf.constant(_GOLDEN_RATIO, tf.uint32))
    return _mix(tf.bitwise.bitwise_xor(first, _mix(words[:, 1] + salt)))


def _multiples(num_values: int) -> tf.Tensor:
    return tf.cast(tf.range(num_values), tf.uint32) * tf.constant(_GOLDEN_RATIO, tf.uint32)


def _mix(bits: tf.Tensor) -> tf.Tensor:
    """The finaliser: every bit of a uint32 in, on every bit out."""
    bits = _xor_shifted(bits, 16) * tf.constant(0x85EBCA6B, tf.uint32)
    bits = _xor_shifted(bits, 13) * tf.constant(0xC2B2AE35, tf.uint32)
    return _xor_shifted(bits, 16)


def _xor_shifted(bits: tf.Tensor, num_places: int) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(num_places, tf.uint32)))


def _to_unit(bits: tf.Tensor) -> tf.Tensor:
    """The upper 24 bits, which float32 holds exactly, as a number from 0 to below 1."""
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24
