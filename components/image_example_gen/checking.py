"""Whether a photograph can be used, and what is kept of it: its bytes as they are, or normalised without loss."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from trainer import photographs
from trainer.photographs import Header, UnreadableImage

# The least that is left of the shorter side when a JPEG is decoded at a fraction of its size.
_MIN_SMALL_SIDE_PX = 32


@dataclass(frozen=True)
class CheckedPhotograph:
    """A photograph that every later step can decode.

    Attributes:
        header: of the file as it came.
        content: what goes into the example: the file as it came, or a PNG of the same pixels.
        is_normalised: whether it is the latter.
        small_pixels: uint8 [height, width, 3], upright, at the full size or an eighth, a quarter or a half of it.
    """

    header: Header
    content: bytes = field(repr=False)
    is_normalised: bool
    small_pixels: NDArray[np.uint8] = field(repr=False)

    @property
    def format(self) -> str:
        """Format of `content`."""
        return "png" if self.is_normalised else self.header.format


def check_photograph(content: bytes, settings: IngestionSettings) -> CheckedPhotograph:
    """Checks one file's bytes: first the header, then whether all of it can be decoded.

    The header comes first so that a decompression bomb is refused before memory is taken for it. A photograph is
    decoded once here, a JPEG at a fraction of its size: all its compressed data is parsed, but little is computed.

    Args:
        content: the whole file.
        settings: what is accepted.

    Raises:
        Refusal: with the reason.
    """
    started_at_s = time.monotonic()
    if not content:
        raise Refusal(Reason.EMPTY_FILE, "0 bytes")
    try:
        header = photographs.read_header(content)
        _check_header(header, settings)
        checked = _decode(content, header, settings)
    except UnreadableImage as error:
        raise Refusal(Reason(error.kind), error.detail) from None
    duration_s = time.monotonic() - started_at_s
    if duration_s > settings.max_image_seconds:
        raise Refusal(
            Reason.TOOK_TOO_LONG, f"{duration_s:.1f} s are more than the {settings.max_image_seconds:g} s allowed"
        )
    return checked


def _check_header(header: Header, settings: IngestionSettings) -> None:
    if header.width_px * header.height_px > settings.max_image_pixels:
        raise Refusal(
            Reason.TOO_MANY_PIXELS,
            f"{header.width_px}x{header.height_px} pixels are more than the {settings.max_image_pixels} allowed",
        )
    if header.num_frames > 1 and not settings.allow_animated:
        raise Refusal(
            Reason.ANIMATED, f"{header.num_frames} frames; data.allow_animated takes the first of such a file"
        )


def _decode(content: bytes, header: Header, settings: IngestionSettings) -> CheckedPhotograph:
    if not header.is_decodable_as_is:
        content = photographs.normalise(content, header, settings.background_rgb)
        return CheckedPhotograph(header, content, True, _on_background(_pixels(content, "png"), settings))
    if header.format == "jpeg":
        pixels = _pixels(content, "jpeg", _jpeg_ratio(header))
    else:
        pixels = _on_background(_pixels(content, header.format), settings)
    return CheckedPhotograph(header, content, False, _upright(pixels, header.orientation))


def _pixels(content: bytes, image_format: str, jpeg_ratio: int = 1) -> NDArray[np.uint8]:
    """Decodes with the operations that training and serving decode with, so that what passes here passes there."""
    import tensorflow as tf

    decoders: dict[str, Callable[[], tf.Tensor]] = {
        "jpeg": lambda: tf.io.decode_jpeg(content, channels=3, ratio=jpeg_ratio),
        "png": lambda: tf.io.decode_png(content, channels=4),
        "webp": lambda: tf.io.decode_image(content, expand_animations=False),
        "bmp": lambda: tf.io.decode_bmp(content),
    }
    try:
        pixels: NDArray[np.uint8] = decoders[image_format]().numpy()
    except tf.errors.OpError as error:
        raise _refusal(content, error) from None
    return pixels


def _jpeg_ratio(header: Header) -> int:
    shorter_side_px = min(header.width_px, header.height_px)
    return next((ratio for ratio in (8, 4, 2) if shorter_side_px >= ratio * _MIN_SMALL_SIDE_PX), 1)


def _on_background(pixels: NDArray[np.uint8], settings: IngestionSettings) -> NDArray[np.uint8]:
    """Three channels; what is transparent shows the background."""
    colours = pixels[..., :3]
    if pixels.shape[-1] < 4 or pixels[..., 3].min() == 255:
        return colours
    opacity = pixels[..., 3:].astype(np.uint16)
    background = np.array(settings.background_rgb, np.uint16)
    return ((colours * opacity + background * (255 - opacity)) // 255).astype(np.uint8)


def _refusal(content: bytes, error: Any) -> Refusal:
    reason = Reason.TRUNCATED if _ends_too_early(content) else Reason.CANNOT_BE_DECODED
    return Refusal(reason, _first_line(error.message))


def _ends_too_early(content: bytes) -> bool:
    """Whether the mark that ends a JPEG or a PNG is missing."""
    end = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}.get(content[:2])
    return end is not None and end not in content


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Applies an EXIF orientation, 1 to 8: even numbers and 5, 7 mirror, 3 to 8 turn."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _first_line(message: str) -> str:
    """A message without the name of the operation and the place in the graph."""
    lines = [line for line in message.strip().splitlines() if line.strip()]
    text = lines[0].split(" [Op:")[0].split("}} ")[-1] if lines else "no message"
    return text.removesuffix(".")[:200]
