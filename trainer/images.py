"""From encoded bytes to pixels, with TensorFlow operations only.

The same functions serve tf.Transform and (through the transform graph) the exported model, so that training and serving
cannot differ. They take the forms of image in which TensorFlow's decoders give what Pillow gives; what else people have
is normalised once, at ingestion, by `trainer.photographs`.
"""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer import image_forms
from trainer.branching import switch
from trainer.image_forms import NUM_CHANNELS

WHITE = (255, 255, 255)
DEFAULT_MAX_PIXELS = 100_000_000

ACCEPTED = (
    "JPEG with 1 or 3 components, PNG and still WebP without EXIF data, and BMP of 24 or 32 bits without compression"
)

# With scaled decoding, an image keeps at least so many times the size that it is resized to.
_LEAST_OVERSIZE = 2
# Enough for every header that is looked at; shorter files are filled up with zeros.
_HEAD_SIZE = 40
_NUM_FORMS = 4


@tf.autograph.experimental.do_not_convert
def decode(
    encoded: tf.Tensor,
    background_rgb: Sequence[int] = WHITE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    least_size_px: int | None = None,
) -> tf.Tensor:
    """Decodes one image, of a form in `ACCEPTED`.

    EXIF orientation is applied, transparency laid onto the background, 16 bits scaled to 8, grey repeated over the
    channels: the pixels are those of `trainer.photographs.reference_pixels`.

    Args:
        encoded: string scalar, the bytes of the file.
        background_rgb: what shows through transparent pixels, red, green and blue from 0 to 255.
        max_pixels: the most pixels (width times height) that are accepted; more are refused before they are decoded.
        least_size_px: if given, a JPEG may be decoded to a half, a quarter or an eighth of its size, as long as its
            height and width stay at least this.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not a whole image of an accepted form.
    """
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEAD_SIZE)
    red, green, blue = (int(value) for value in background_rgb)
    background = (red, green, blue)
    pixels = switch(
        _index_of_form(head),
        [
            lambda encoded, _: image_forms.decode_jpeg(encoded, max_pixels, least_size_px),
            lambda encoded, head: image_forms.decode_png(encoded, head, max_pixels, background),
            lambda encoded, head: image_forms.decode_webp(encoded, head, max_pixels, background),
            lambda encoded, head: image_forms.decode_bmp(encoded, head, max_pixels),
            lambda _encoded, _head: _refuse(),
        ],
        encoded,
        head,
    )
    return tf.ensure_shape(pixels, [None, None, NUM_CHANNELS])


def is_accepted_form(encoded: tf.Tensor) -> tf.Tensor:
    """Whether the first bytes of a string scalar are those of a JPEG, PNG, WebP or BMP: bool scalar."""
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEAD_SIZE)
    return _index_of_form(head) < _NUM_FORMS


@tf.autograph.experimental.do_not_convert
def is_taken(encoded: tf.Tensor, max_pixels: int = DEFAULT_MAX_PIXELS) -> tf.Tensor:
    """Whether one image, a string scalar, is such that `decode` fails on it only if it is damaged: bool scalar.

    Nothing but the header is decoded.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the header of a JPEG is damaged.
    """
    head = tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEAD_SIZE)
    is_right: tf.Tensor = switch(
        _index_of_form(head),
        [
            lambda encoded, _: image_forms.is_right_jpeg(encoded, max_pixels),
            lambda encoded, head: image_forms.is_right_png(encoded, head, max_pixels),
            lambda _, head: image_forms.is_right_webp(head, max_pixels),
            lambda encoded, head: image_forms.is_right_bmp(encoded, head, max_pixels),
            lambda _encoded, _head: tf.constant(False),
        ],
        encoded,
        head,
    )
    return is_right


def _index_of_form(head: tf.Tensor) -> tf.Tensor:
    """0 to 3 for JPEG, PNG, WebP and BMP, 4 for anything else."""

    def has(magic: bytes, offset: int = 0) -> tf.Tensor:
        return tf.reduce_all(tf.equal(head[offset : offset + len(magic)], tf.constant(list(magic), tf.uint8)))

    is_form = [
        has(b"\xff\xd8\xff"),
        has(b"\x89PNG\r\n\x1a\n") & has(b"IHDR", 12),
        has(b"RIFF") & has(b"WEBPVP8", 8),
        has(b"BM"),
        tf.constant(True),
    ]
    return tf.argmax(tf.cast(tf.stack(is_form), tf.int32), output_type=tf.int32)


def _refuse() -> tf.Tensor:
    return tf.io.decode_png("not an accepted form", NUM_CHANNELS)


def resize(pixels: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """Resizes one image to a square, bilinear and antialiased.

    Bit for bit what `tf.image.resize(method="bilinear", antialias=True)` gives. Antialiasing matters: without it,
    the result differs from Pillow's by up to a tenth of the range.

    Args:
        pixels: uint8 [height, width, 3].
        image_size_px: height and width of the result in pixels.

    Returns:
        uint8 [image_size_px, image_size_px, 3], rounded to the nearest value.
    """
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    rows = _resize_first_axis(tf.reshape(pixels, [height, width * NUM_CHANNELS]), image_size_px)
    turned = tf.transpose(tf.reshape(rows, [image_size_px, width, NUM_CHANNELS]), [1, 0, 2])
    columns = _resize_first_axis(tf.reshape(turned, [width, image_size_px * NUM_CHANNELS]), image_size_px)
    # Weighted means of values from 0 to 255: rounding takes back what floating point has put beyond.
    rounded = tf.cast(tf.round(columns), tf.uint8)
    return tf.transpose(tf.reshape(rounded, [image_size_px, image_size_px, NUM_CHANNELS]), [1, 0, 2])


def _resize_first_axis(values: tf.Tensor, size: int) -> tf.Tensor:
    """[length, n] to float32 [size, n]: `tf.image.resize` along one axis.

    The n values are the operation's channels, which it takes several at a time. A picture with three channels and two
    axes to resize takes it two and a half times as long, for the same bits.
    """
    length = tf.shape(values)[0]
    resized = tf.raw_ops.ScaleAndTranslate(
        images=values[None, :, None, :],
        size=[size, 1],
        scale=tf.stack([size / tf.cast(length, tf.float32), 1.0]),
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
    return resized[0, :, 0, :]


def decode_and_resize(
    encoded: tf.Tensor,
    image_size_px: int,
    background_rgb: Sequence[int] = WHITE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    scaled_decoding: bool = False,
) -> tf.Tensor:
    """`decode`, then `resize`: string scalar to uint8 [image_size_px, image_size_px, 3].

    Args:
        encoded: as of `decode`.
        image_size_px: as of `resize`.
        background_rgb: as of `decode`.
        max_pixels: as of `decode`.
        scaled_decoding: decode large JPEGs to a half, a quarter or an eighth of their size, at least twice
            `image_size_px`: much faster, and slightly different pixels.
    """
    least_size_px = _LEAST_OVERSIZE * image_size_px if scaled_decoding else None
    return resize(decode(encoded, background_rgb, max_pixels, least_size_px), image_size_px)


def pack(pixels: tf.Tensor) -> tf.Tensor:
    """Serializes one uint8 tensor of any shape into a string scalar, a byte per value and a short header."""
    return tf.io.serialize_tensor(pixels)


@functools.lru_cache(maxsize=4)
def decoding_to_packed(**settings: Any) -> Any:
    """`decode_and_resize` and `pack` of one image, traced once: string scalar to string scalar.

    Who builds a graph may call this several times, as tf.Transform does, and it is a thousand operations.

    Args:
        settings: the arguments of `decode_and_resize` but for the image; hashable.
    """
    function = tf.function(
        lambda encoded: pack(decode_and_resize(encoded, **settings)),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )
    return function.get_concrete_function()


def unpack(packed: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """The inverse of `pack`: string scalar to uint8 [image_size_px, image_size_px, 3]."""
    return tf.ensure_shape(tf.io.parse_tensor(packed, tf.uint8), [image_size_px, image_size_px, NUM_CHANNELS])


def unpack_batch(packed: tf.Tensor, image_size_px: int) -> tf.Tensor:
    """`unpack` of each: string [batch] to uint8 [batch, image_size_px, image_size_px, 3]."""
    spec = tf.TensorSpec([image_size_px, image_size_px, NUM_CHANNELS], tf.uint8)
    return map_batch(lambda one: unpack(one, image_size_px), packed, spec)


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
