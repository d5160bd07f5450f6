"""Whether a file is an image that every later step can decode."""

import io
from dataclasses import dataclass
from enum import StrEnum

# JPEGs with several pictures in one file, as phones write them, are "MPO" to Pillow; TensorFlow reads the first.
_FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png"}


class Reason(StrEnum):
    """Why a file was refused; the list is closed."""

    EMPTY_FILE = "empty file"
    NOT_AN_IMAGE = "not an image"
    UNSUPPORTED_FORMAT = "unsupported format"
    TOO_MANY_PIXELS = "too many pixels"
    CANNOT_BE_DECODED = "cannot be decoded"
    UNREADABLE = "unreadable"


class Refusal(Exception):
    """Raised for a file that is refused.

    Attributes:
        reason: one of the closed list.
        detail: what was found, in words.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image without keeping its pixels: "jpeg" or "png", and its size in pixels."""

    format: str
    width_px: int
    height_px: int


def check(content: bytes, max_pixels: int) -> ImageFacts:
    """Checks one file's bytes: first the header, then whether TensorFlow can decode all of it.

    The header comes first so that a decompression bomb is refused before memory is taken for it.

    Args:
        content: the whole file.
        max_pixels: the most pixels (width times height) that are accepted.

    Raises:
        Refusal: with the reason.
    """
    if not content:
        raise Refusal(Reason.EMPTY_FILE, "0 bytes")
    facts = _read_header(content)
    num_pixels = facts.width_px * facts.height_px
    if num_pixels > max_pixels:
        raise Refusal(
            Reason.TOO_MANY_PIXELS,
            f"{facts.width_px}x{facts.height_px} pixels are more than the {max_pixels} allowed",
        )
    _decode(content, facts.format)
    return facts


def _read_header(content: bytes) -> ImageFacts:
    from PIL import Image, UnidentifiedImageError

    try:
        Image.MAX_IMAGE_PIXELS = None  # Pillow has a limit too; ours is the one that counts, and nothing is decoded
        with Image.open(io.BytesIO(content)) as image:
            found, (width, height) = image.format, image.size
    except UnidentifiedImageError:
        raise Refusal(Reason.NOT_AN_IMAGE, f"starts with {content[:8]!r}") from None
    except Exception as error:  # Pillow's parsers raise anything on malformed headers
        raise Refusal(Reason.NOT_AN_IMAGE, f"malformed header: {error}") from None
    if found not in _FORMATS:
        raise Refusal(Reason.UNSUPPORTED_FORMAT, f"{found}; JPEG and PNG are read")
    return ImageFacts(_FORMATS[found], width, height)


def _decode(content: bytes, image_format: str) -> None:
    import tensorflow as tf

    try:
        if image_format == "jpeg":
            # An eighth of the size: all the compressed data is still parsed, but little is computed and kept.
            tf.io.decode_jpeg(content, channels=3, ratio=8)
        else:
            tf.io.decode_png(content, channels=3)
    except tf.errors.OpError as error:
        raise Refusal(Reason.CANNOT_BE_DECODED, _first_line(error.message)) from None


def _first_line(message: str) -> str:
    return (
        message.strip().splitlines()[0].split(" [Op:")[0].removesuffix(".")[:200] if message.strip() else "no message"
    )
