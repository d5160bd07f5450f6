"""How each form of image that the graph takes becomes pixels, with TensorFlow operations only.

Every function takes the encoded bytes of its own format, checks what the header says before pixels are decoded, and
returns uint8 [height, width, 3]: upright, opaque, equal to what Pillow makes of the same file. The checks are functions
of their own (`is_right_…`), so that a refusal can be told from damage.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from trainer import exif
from trainer.branching import either
from trainer.image_headers import MAX_SCANS, MAX_STEPS
from trainer.orientation import UPRIGHT

NUM_CHANNELS = 3

# By this name the limit is found in a saved graph.
MAX_PIXELS = "max_pixels"

Rgb = tuple[int, int, int]


def only_if(is_right: tf.Tensor, encoded: tf.Tensor, complaint: str) -> tf.Tensor:
    """The encoded image if it is right, else bytes that no decoder takes: InvalidArgumentError when it is decoded.

    Not an assertion: those are stateful, so tf.Transform would run the decoding, on nothing, whenever it only asks for
    the label.
    """
    return tf.where(is_right, encoded, complaint)


def has_right_size(height: tf.Tensor, width: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Whether the image has from 1 to `max_pixels` pixels."""
    num_pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    return (num_pixels > 0) & (num_pixels <= tf.constant(max_pixels, tf.int64, name=MAX_PIXELS))


def decode_jpeg(encoded: tf.Tensor, max_pixels: int, least_size_px: int | None) -> tf.Tensor:
    """Grey or three components, baseline or progressive.

    Args:
        encoded: string scalar.
        max_pixels: the most pixels that are accepted.
        least_size_px: if given, the image may be decoded to a half, a quarter or an eighth of its size, as long as its
            height and width stay at least this.
    """
    shape = tf.image.extract_jpeg_shape(encoded)
    orientation, has_few_scans = _survey_jpeg(encoded)
    is_right = _is_right_jpeg(shape, has_few_scans, max_pixels)
    pixels = _decode_jpeg_scaled(only_if(is_right, encoded, "size, CMYK or scans"), shape, least_size_px)
    return exif.turn(pixels, orientation)


def is_right_jpeg(encoded: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Whether the header is that of a JPEG that `decode_jpeg` decodes unless it is damaged: bool scalar.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the header is damaged.
    """
    return _is_right_jpeg(tf.image.extract_jpeg_shape(encoded), _survey_jpeg(encoded)[1], max_pixels)


def _is_right_jpeg(shape: tf.Tensor, has_few_scans: tf.Tensor, max_pixels: int) -> tf.Tensor:
    is_right_size = has_right_size(shape[0], shape[1], max_pixels)
    return is_right_size & (tf.equal(shape[2], 1) | tf.equal(shape[2], 3)) & has_few_scans


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


def _survey_jpeg(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Orientation, int32 scalar, and whether the scans are not too many, bool scalar.

    Only files that seem to have something of that are walked over: a loop in a graph costs more than a glance at bytes.
    """
    data = tf.io.decode_raw(encoded, tf.uint8)
    scans = _places_of_scan_markers(data)
    # EXIF data lie before the first scan, wherever that is; in most files the only such marker is where it begins.
    head = tf.strings.substr(encoded, 0, tf.reduce_max(tf.concat([[0], scans], axis=0)))
    is_conspicuous = contains(head, "Exif\\x00\\x00") | (tf.size(scans) > MAX_SCANS)
    return either(is_conspicuous, _walked, lambda _: (tf.constant(UPRIGHT), tf.constant(True)), data)


def _walked(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    segments = _walk(data)
    orientation = exif.read_orientation(data[segments.exif_start : segments.exif_end])
    # Decoding takes a pass over the whole image for each scan of a JPEG that has several.
    padded = tf.pad(data, [[0, 8]])
    is_progressive = tf.reduce_any(tf.equal(segments.frame_marker, [0xC2, 0xC6, 0xCA, 0xCE]))
    has_several = tf.not_equal(padded[segments.scan_start], padded[segments.frame_start + 5])
    num_scans = 1 + tf.size(_places_of_scan_markers(data[segments.scan_start :]))
    return orientation, ~((is_progressive | has_several) & (num_scans > MAX_SCANS))


def contains(encoded: tf.Tensor, ascii_pattern: str) -> tf.Tensor:
    """Whether the bytes contain a match; `\\C` is any byte, where `.` would be a valid character of UTF-8."""
    return tf.strings.regex_full_match(encoded, f"\\C*{ascii_pattern}\\C*")


class _Segments(NamedTuple):
    """Where the payloads of a JPEG's segments are; int32 scalars, 0 for what is not there."""

    frame_marker: tf.Tensor
    frame_start: tf.Tensor
    exif_start: tf.Tensor
    exif_end: tf.Tensor
    scan_start: tf.Tensor


def _walk(data: tf.Tensor) -> _Segments:
    """Goes over the segments of a JPEG up to its first scan; of several with EXIF the first counts."""
    size = tf.size(data)
    identifier = tf.constant([0xE1, *b"Exif\0\0"], tf.int32)

    def goes_on(position: tf.Tensor, num_steps: tf.Tensor, found: _Segments) -> tf.Tensor:
        return tf.equal(found.scan_start, 0) & (num_steps < MAX_STEPS) & (position + 4 <= size)

    def step(position: tf.Tensor, num_steps: tf.Tensor, found: _Segments) -> tuple[Any, ...]:
        head = tf.cast(tf.pad(data[position : position + 10], [[0, 6]])[:10], tf.int32)
        marker, start = head[1], position + 4
        end = position + 2 + head[2] * 256 + head[3]
        is_filling = tf.not_equal(head[0], 0xFF) | _is_any(marker, (0x00, 0xFF))
        has_no_length = tf.equal(marker, 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        is_segment = ~is_filling & ~has_no_length
        is_broken = is_segment & ((end < start) | (end > size))
        is_whole = is_segment & ~is_broken
        is_frame = is_whole & (marker >= 0xC0) & (marker <= 0xCF) & ~_is_any(marker, (0xC4, 0xC8, 0xCC))
        is_exif = tf.reduce_all(tf.equal(tf.concat([head[1:2], head[4:]], 0), identifier)) & (end >= start + 6)
        is_first_exif = is_whole & is_exif & tf.equal(found.exif_end, 0)
        found = _Segments(
            tf.where(is_frame, marker, found.frame_marker),
            tf.where(is_frame, start, found.frame_start),
            tf.where(is_first_exif, start + 6, found.exif_start),
            tf.where(is_first_exif, end, found.exif_end),
            tf.where(is_whole & tf.equal(marker, 0xDA), start, 0),
        )
        after = tf.where(is_filling, position + 1, tf.where(has_no_length, position + 2, end))
        return tf.where(is_broken, size, after), num_steps + 1, found

    zero = tf.constant(0)
    start = (tf.constant(2), zero, _Segments(zero, zero, zero, zero, zero))
    segments: _Segments = tf.while_loop(goes_on, step, start, parallel_iterations=1)[2]
    return segments


def _places_of_scan_markers(data: tf.Tensor) -> tf.Tensor:
    """int32 [markers], ascending: wherever the bytes of one stand, be it in the middle of something else."""
    return tf.cast(tf.where(tf.equal(data[:-1], 0xFF) & tf.equal(data[1:], 0xDA))[:, 0], tf.int32)


def decode_png(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int, background_rgb: Rgb) -> tf.Tensor:
    """Every kind: grey, colour, palette, each with or without transparency, 1 to 16 bits, interlaced; without EXIF.

    Args:
        encoded: string scalar.
        head: uint8 [at least 26], its first bytes.
        max_pixels: the most pixels that are accepted.
        background_rgb: what shows through transparent pixels.
    """
    is_wide, colour_type = tf.equal(head[24], 16), head[25]
    encoded = only_if(is_right_png(encoded, head, max_pixels), encoded, "size, or EXIF")

    def wide() -> tf.Tensor:
        return composite(scale_16_bits(tf.io.decode_png(encoded, 4, tf.uint16)), background_rgb)

    def with_alpha() -> tf.Tensor:
        return composite(tf.io.decode_png(encoded, 4), background_rgb)

    def opaque() -> tf.Tensor:
        return tf.io.decode_png(encoded, NUM_CHANNELS)

    # Colour type 4 has alpha, and any other may name a transparent colour; that the name is found somewhere in the
    # compressed data by chance does no harm.
    may_be_transparent = (colour_type >= 4) | contains(encoded, "tRNS")
    pixels = tf.cond(is_wide, wide, lambda: tf.cond(may_be_transparent, with_alpha, opaque))
    return pixels


def is_right_png(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Whether the header is that of a PNG that `decode_png` decodes unless it is damaged: bool scalar."""
    width, height = big_endian(head[16:20]), big_endian(head[20:24])
    return has_right_size(height, width, max_pixels) & ~contains(encoded, "eXIf")


def decode_webp(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int, background_rgb: Rgb) -> tf.Tensor:
    """Still pictures, lossy, lossless or with alpha, without EXIF; arguments as of `decode_png`."""
    encoded = only_if(is_right_webp(head, max_pixels), encoded, "size, animation or EXIF")
    # Not by an operation for WebP alone: a server of an older release could not load the model then.
    pixels = tf.io.decode_image(encoded, expand_animations=False)
    pixels = tf.ensure_shape(pixels, [None, None, None])
    return tf.cond(tf.equal(tf.shape(pixels)[2], 4), lambda: composite(pixels, background_rgb), lambda: pixels)


def is_right_webp(head: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Whether the header is that of a WebP that `decode_webp` decodes unless it is damaged: bool scalar."""
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
    return has_right_size(height, width, max_pixels) & is_still


def decode_bmp(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """24 or 32 bits, uncompressed; a fourth channel has no meaning there. Arguments as of `decode_png`."""
    encoded = only_if(is_right_bmp(encoded, head, max_pixels), encoded, "size, or kind of BMP")
    return tf.io.decode_bmp(encoded)[..., :NUM_CHANNELS]


def is_right_bmp(encoded: tf.Tensor, head: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Whether the header is that of a BMP that `decode_bmp` decodes unless it is damaged: bool scalar."""
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
    return is_plain & has_right_size(tf.abs(height), width, max_pixels)


def _is_any(value: tf.Tensor, allowed: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(allowed, value.dtype)))


def composite(layers: tf.Tensor, background_rgb: Rgb) -> tf.Tensor:
    """Lays uint8 [height, width, 4] onto a background: uint8 [height, width, 3], rounded as Pillow does."""
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
