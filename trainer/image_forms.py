"""How each form of image that the graph takes becomes pixels, with TensorFlow operations only.

Every function takes the encoded bytes of its own format, checks what the header says before pixels are decoded, and
returns uint8 [height, width, 3]: upright, opaque, equal to what Pillow makes of the same file.
"""

from typing import Any

import tensorflow as tf

from trainer import exif
from trainer.image_headers import MAX_SCANS, MAX_STEPS
from trainer.orientation import UPRIGHT

NUM_CHANNELS = 3

Rgb = tuple[int, int, int]


def check(is_right: tf.Tensor, message: str) -> tf.Operation:
    """Raises InvalidArgumentError, when run, with the message."""
    return tf.debugging.Assert(is_right, [message])


def check_size(height: tf.Tensor, width: tf.Tensor, max_pixels: int) -> tf.Operation:
    """Raises InvalidArgumentError, when run, unless the image has from 1 to `max_pixels` pixels."""
    num_pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    is_right = (num_pixels > 0) & (num_pixels <= max_pixels)
    return check(is_right, f"the image has no pixels, or more than the {max_pixels} allowed")


def decode_jpeg(encoded: tf.Tensor, max_pixels: int, least_size_px: int | None) -> tf.Tensor:
    """Grey or three components, baseline or progressive.

    Args:
        encoded: string scalar.
        max_pixels: the most pixels that are accepted.
        least_size_px: if given, the image may be decoded to a half, a quarter or an eighth of its size, as long as its
            height and width stay at least this.
    """
    shape = tf.image.extract_jpeg_shape(encoded)
    data = tf.io.decode_raw(encoded, tf.uint8)
    checks = [
        check_size(shape[0], shape[1], max_pixels),
        check(tf.equal(shape[2], 1) | tf.equal(shape[2], 3), "the JPEG has neither 1 nor 3 components (CMYK?)"),
        check(~_has_too_many_scans(data), f"the JPEG has more than {MAX_SCANS} scans"),
    ]
    with tf.control_dependencies(checks):
        pixels = _decode_jpeg_scaled(tf.identity(encoded), shape, least_size_px)
    return exif.turn(pixels, _jpeg_orientation(encoded, data))


def _decode_jpeg_scaled(encoded: tf.Tensor, shape: tf.Tensor, least_size_px: int | None) -> tf.Tensor:
    def with_ratio(ratio: int) -> Any:
        # The accurate transform is Pillow's; TensorFlow's default differs from it by up to 6 of 255.
        return lambda: tf.io.decode_jpeg(encoded, NUM_CHANNELS, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if least_size_px is None:
        return with_ratio(1)()
    ratios = (1, 2, 4, 8)
    possible = tf.reduce_min(shape[:2]) // tf.constant(ratios) >= least_size_px
    index = tf.reduce_sum(tf.cast(possible[1:], tf.int32))
    return tf.switch_case(index, [with_ratio(ratio) for ratio in ratios])


def _jpeg_orientation(encoded: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """Only files that contain the identifier are walked over: a loop in a graph costs more than a glance at all bytes."""

    def walked() -> tf.Tensor:
        start, end = _first_exif(data)
        return exif.read_orientation(data[start:end])

    return tf.cond(contains(encoded, "Exif\\x00\\x00"), walked, lambda: tf.constant(UPRIGHT))


def contains(encoded: tf.Tensor, ascii_pattern: str) -> tf.Tensor:
    """Whether the bytes contain a match; `\\C` is any byte, where `.` would be a valid character of UTF-8."""
    return tf.strings.regex_full_match(encoded, f"\\C*{ascii_pattern}\\C*")


def _first_exif(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Start and end of the body of the first EXIF segment before the first scan; twice 0 where there is none."""
    identifier = tf.constant(list(b"Exif\0\0"), tf.uint8)

    def step(segment: tuple[tf.Tensor, ...]) -> tf.Tensor:
        marker, start, end = segment
        body = data[start : tf.minimum(start + 6, end)]
        is_identified = tf.cond(
            tf.equal(tf.size(body), 6), lambda: tf.reduce_all(tf.equal(body, identifier)), lambda: tf.constant(False)
        )
        return tf.equal(marker, 0xE1) & is_identified

    marker, start, end = _walk(data, step)
    is_found = tf.equal(marker, 0xE1)
    return tf.where(is_found, start + 6, 0), tf.where(is_found, end, 0)


def _walk(data: tf.Tensor, is_wanted: Any) -> tuple[tf.Tensor, ...]:
    """Goes over the segments of a JPEG up to the one that is wanted or to the first scan.

    Returns:
        int32 scalars: its marker, and the start and end of its payload; the marker is 0 where the file ends before.
    """
    size = tf.size(data)

    def goes_on(position: tf.Tensor, num_steps: tf.Tensor, is_found: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return ~is_found & (num_steps < MAX_STEPS) & (position + 4 <= size)

    def step(position: tf.Tensor, num_steps: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
        head = tf.cast(data[position : position + 4], tf.int32)
        marker = head[1]
        length = head[2] * 256 + head[3]
        is_filling = tf.not_equal(head[0], 0xFF) | tf.equal(marker, 0x00) | tf.equal(marker, 0xFF)
        has_no_length = tf.equal(marker, 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        is_segment = ~is_filling & ~has_no_length
        end = position + 2 + length
        is_broken = is_segment & ((length < 2) | (end > size))
        segment = (marker, position + 4, end)
        is_found = is_segment & ~is_broken & (tf.equal(marker, 0xDA) | is_wanted(segment))
        after = tf.where(is_filling, position + 1, tf.where(has_no_length, position + 2, end))
        return tf.where(is_broken, size, after), num_steps + 1, is_found, *(tf.where(is_found, x, 0) for x in segment)

    zero = tf.constant(0)
    start = (tf.constant(2), zero, tf.constant(False), zero, zero, zero)
    return tuple(tf.while_loop(goes_on, step, start, parallel_iterations=1)[3:])


def _has_too_many_scans(data: tf.Tensor) -> tf.Tensor:
    """Decoding takes a pass over the whole image for each scan of a JPEG that has several."""

    def is_serious() -> tf.Tensor:
        frame, start, _ = _walk(data, lambda segment: _is_frame(segment[0]))
        _, scan, _ = _walk(data, lambda segment: tf.constant(False))
        is_progressive = tf.reduce_any(tf.equal(frame, [0xC2, 0xC6, 0xCA, 0xCE]))
        num_components = tf.gather(tf.pad(data, [[0, 8]]), start + 5)
        has_several = tf.not_equal(tf.gather(tf.pad(data, [[0, 8]]), scan), num_components)
        return (is_progressive | has_several) & (1 + _num_scans(data[scan:]) > MAX_SCANS)

    return tf.cond(_num_scans(data) > MAX_SCANS, is_serious, lambda: tf.constant(False))


def _num_scans(data: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(tf.equal(data[:-1], 0xFF) & tf.equal(data[1:], 0xDA))


def _is_frame(marker: tf.Tensor) -> tf.Tensor:
    return (marker >= 0xC0) & (marker <= 0xCF) & tf.reduce_all(tf.not_equal(marker, [0xC4, 0xC8, 0xCC]))


def decode_png(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int, background_rgb: Rgb) -> tf.Tensor:
    """Every kind: grey, colour, palette, each with or without transparency, 1 to 16 bits, interlaced.

    Args:
        encoded: string scalar.
        head: uint8 [at least 26], its first bytes.
        max_pixels: the most pixels that are accepted.
        background_rgb: what shows through transparent pixels.
    """
    width, height = big_endian(head[16:20]), big_endian(head[20:24])
    is_wide, colour_type = tf.equal(head[24], 16), head[25]

    def wide() -> tf.Tensor:
        return composite(scale_16_bits(tf.io.decode_png(encoded, 4, tf.uint16)), background_rgb)

    def with_alpha() -> tf.Tensor:
        return composite(tf.io.decode_png(encoded, 4), background_rgb)

    def opaque() -> tf.Tensor:
        return tf.io.decode_png(encoded, NUM_CHANNELS)

    with tf.control_dependencies([check_size(height, width, max_pixels)]):
        # Colour type 4 has alpha, and any other may name a transparent colour; that the name is found somewhere in the
        # compressed data by chance does no harm.
        may_be_transparent = (colour_type >= 4) | contains(encoded, "tRNS")
        pixels = tf.cond(is_wide, wide, lambda: tf.cond(may_be_transparent, with_alpha, opaque))
    return exif.turn(pixels, _png_orientation(encoded))


def _png_orientation(encoded: tf.Tensor) -> tf.Tensor:
    def walked() -> tf.Tensor:
        data = tf.io.decode_raw(encoded, tf.uint8)
        size = tf.size(data, out_type=tf.int64)

        def goes_on(position: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return position + 12 <= size

        def step(position: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, ...]:
            after = position + 8 + big_endian(data[position : position + 4])
            is_exif = tf.reduce_all(tf.equal(data[position + 4 : position + 8], list(b"eXIf"))) & (after + 4 <= size)
            return after + 4, tf.where(is_exif, position + 8, start), tf.where(is_exif, after, end)

        zero = tf.constant(0, tf.int64)
        start = (tf.constant(8, tf.int64), zero, zero)
        _, start, end = tf.while_loop(goes_on, step, start, parallel_iterations=1)
        return exif.read_orientation(data[start:end])

    return tf.cond(contains(encoded, "eXIf"), walked, lambda: tf.constant(UPRIGHT))


def decode_webp(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int, background_rgb: Rgb) -> tf.Tensor:
    """Still pictures, lossy, lossless or with alpha, without EXIF; arguments as of `decode_png`."""
    kind, flags = head[15], head[20]
    lossy, lossless = little_endian(head[26:30]), little_endian(head[21:25])
    low = tf.constant(0x3FFF, tf.int64)
    sizes = {
        ord(" "): (lossy & low, (lossy // 65536) & low),
        ord("L"): (1 + (lossless & low), 1 + ((lossless // 16384) & low)),
        ord("X"): (1 + little_endian(head[24:27]), 1 + little_endian(head[27:30])),
    }
    zero = tf.constant(0, tf.int64)
    width, height = (
        tf.add_n([tf.where(tf.equal(kind, letter), size[axis], zero) for letter, size in sizes.items()])
        for axis in (0, 1)
    )
    is_still = tf.not_equal(kind, ord("X")) | tf.equal(tf.bitwise.bitwise_and(flags, 0b1010), 0)
    checks = [
        check_size(height, width, max_pixels),
        check(is_still, "the WebP is animated or has EXIF data, and is to be normalised first"),
    ]
    with tf.control_dependencies(checks):
        # Not by an operation for WebP alone: a server of an older release could not load the model then.
        pixels = tf.io.decode_image(tf.identity(encoded), expand_animations=False)
    pixels = tf.ensure_shape(pixels, [None, None, None])
    return tf.cond(tf.equal(tf.shape(pixels)[2], 4), lambda: composite(pixels, background_rgb), lambda: pixels)


def decode_bmp(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """24 or 32 bits, uncompressed; a fourth channel has no meaning there. Arguments as of `decode_png`."""
    offset, header_size = little_endian(head[10:14]), little_endian(head[14:18])
    width, height = (tf.bitcast(tf.cast(little_endian(head[at : at + 4]), tf.uint32), tf.int32) for at in (18, 22))
    num_bits, compression = little_endian(head[28:30]), little_endian(head[30:34])
    is_plain = (
        _is_any(header_size, (40, 52, 56, 64, 108, 124))
        & _is_any(num_bits, (24, 32))
        & tf.equal(compression, 0)
        & (width > 0)
        & (tf.abs(tf.cast(height, tf.int64)) < 1 << 24)
        & (offset >= 14 + header_size)
        & (offset < tf.cast(tf.strings.length(encoded), tf.int64))
    )
    checks = [
        check(is_plain, "the BMP is not one of 24 or 32 bits without compression, and is to be normalised first"),
        check_size(tf.abs(height), width, max_pixels),
    ]
    with tf.control_dependencies(checks):
        return tf.io.decode_bmp(tf.identity(encoded))[..., :NUM_CHANNELS]


def _is_any(value: tf.Tensor, allowed: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(allowed, value.dtype)))


def composite(layers: tf.Tensor, background_rgb: Rgb) -> tf.Tensor:
    """Lays uint8 [height, width, 4] onto a background: uint8 [height, width, 3], rounded to the nearest as Pillow does."""
    colours, alpha = (tf.cast(part, tf.uint16) for part in (layers[..., :NUM_CHANNELS], layers[..., NUM_CHANNELS:]))
    background = tf.constant(background_rgb, tf.uint16)
    total = colours * alpha + background * (255 - alpha) + 127
    # The quotient by 255, without leaving 16 bits.
    return tf.cast(tf.bitwise.right_shift(total + 1 + tf.bitwise.right_shift(total, 8), 8), tf.uint8)


def scale_16_bits(values: tf.Tensor) -> tf.Tensor:
    """uint16 to uint8, 65535 to 255, rounded to the nearest; without leaving 16 bits."""
    one = tf.constant(1, tf.uint16)
    quotient = tf.bitwise.right_shift(values, 8) + tf.bitwise.bitwise_and(tf.bitwise.right_shift(values, 7), one)
    return tf.cast(tf.bitwise.right_shift(values - quotient + 128, 8), tf.uint8)


def big_endian(data: tf.Tensor) -> tf.Tensor:
    """uint8 [4] to int64, unsigned."""
    return tf.reduce_sum(tf.cast(data, tf.int64) * tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64))


def little_endian(data: tf.Tensor) -> tf.Tensor:
    """uint8 [2 to 4] to int64, unsigned."""
    return tf.reduce_sum(tf.cast(data, tf.int64) * tf.constant([1 << 8 * n for n in range(data.shape[0])], tf.int64))
