"""Photographs by Pillow: what a file is, how it should look, and its lossless normal form.

The pixels of a photograph are those that Pillow gives after these steps: the first frame is taken; samples of 16 bits
are scaled to 8 (not cut); the EXIF orientation is applied; transparent pixels are laid onto a background. Colour
profiles are not applied. `trainer.images.decode` gives the same pixels, but takes only some forms; `Header` says
whether it takes a file as it is. All others are normalised to PNG, once.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer import image_headers, wide_samples
from trainer.image_headers import Header, UnreadableImage
from trainer.orientation import UPRIGHT

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageFile

__all__ = ["Header", "UnreadableImage", "normalise", "read_header", "reference_pixels", "small_picture"]

Rgb = tuple[int, int, int]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")

# Formats that people have and thaw does not read: offset, magic bytes, name.
_UNSUPPORTED = (
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif", "HEIF"),
    (4, b"ftypmsf", "HEIF"),
    (4, b"ftyp", "a video"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"jP  \r\n", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"<svg", "SVG"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "DirectDraw"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"IIRO", "Olympus raw"),
    (0, b"FUJIFILM", "Fujifilm raw"),
    *((0, b"P%d" % number + end, "a portable map (PNM)") for number in range(1, 8) for end in (b"\n", b" ")),
)

# What Pillow warns of in damaged or large files. What becomes of such a file is said otherwise: decoded, or refused.
_NEEDLESS_WARNINGS = r"(Possibly )?corrupt EXIF|Metadata Warning, tag|Invalid APNG|Image size .* exceeds limit"


def read_header(content: bytes) -> Header:
    """Reads what the file says of itself; no pixel is decoded, and no memory taken for one.

    Args:
        content: the whole file.

    Raises:
        UnreadableImage: it is not an image, of a format that is not read, or broken in its header.
    """
    _quieten_pillow()
    reader = _reader_of(content)
    if reader is None:
        for offset, magic, name in _UNSUPPORTED:
            if content.startswith(magic, offset):
                raise UnreadableImage("unsupported format", f"{name}; JPEG, PNG, WebP, GIF, BMP and TIFF are read")
        raise UnreadableImage("not an image", f"starts with {content[:8]!r}" if content else "0 bytes")
    header = reader(content)
    if header.width_px < 1 or header.height_px < 1:
        size = f"{header.width_px}x{header.height_px}"
        raise UnreadableImage("cannot be decoded", f"the header gives {size} pixels")
    return header


def _quieten_pillow() -> None:
    """Has Python ignore those warnings of Pillow's that say nothing to the owner of a thousand photographs.

    For the whole process: `warnings.catch_warnings` changes that of other threads, too, and not safely.
    """
    if not any(getattr(known[1], "pattern", "") == _NEEDLESS_WARNINGS for known in warnings.filters):
        warnings.filterwarnings("ignore", _NEEDLESS_WARNINGS, module=r"PIL\.")


def _reader_of(content: bytes) -> Callable[[bytes], Header] | None:
    if content.startswith(b"\xff\xd8\xff"):
        return image_headers.read_jpeg
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return image_headers.read_png
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return image_headers.read_webp
    if content.startswith((b"GIF87a", b"GIF89a")):
        return image_headers.read_gif
    if content.startswith(b"BM"):
        return image_headers.read_bmp
    return image_headers.read_tiff if content.startswith(_TIFF_MAGIC) else None


def normalise(content: bytes, header: Header, background_rgb: Rgb) -> bytes:
    """Decodes a photograph and writes its pixels as a PNG, which `trainer.images.decode` reads back exactly.

    The caller checks the size in `header` first: the memory of the pixels is taken here.

    Args:
        content: the whole file.
        header: of `read_header`.
        background_rgb: what shows through transparent pixels, red, green and blue from 0 to 255.

    Returns:
        A PNG without alpha: greyscale where the photograph is, else RGB, 8 bits.

    Raises:
        UnreadableImage: "truncated" or "cannot be decoded".
    """
    buffer = io.BytesIO()
    _decode(content, header, background_rgb).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def reference_pixels(content: bytes, background_rgb: Rgb) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """How a photograph should look: uint8 [height, width, 3], by Pillow.

    Raises:
        UnreadableImage: as `read_header` and `normalise`.
    """
    import numpy as np

    return np.asarray(_decode(content, read_header(content), background_rgb).convert("RGB"))


def small_picture(content: bytes, size_px: int) -> "Image.Image":
    """The photograph to look at, quickly: upright, on white, of mode L or RGB, with at most `size_px` on a side.

    Raises:
        UnreadableImage: as `read_header` and `normalise`; also for some files that `trainer.images.decode` takes.
    """
    header = read_header(content)
    with _in_words(content, header):
        image = _open(content, header.format)
        image.draft(None, (2 * size_px, 2 * size_px))
        small = _flatten(image, (255, 255, 255))
        small.thumbnail((size_px, size_px))
        return _turn(small, _orientation_to_apply(header))


def _decode(content: bytes, header: Header, background_rgb: Rgb) -> "Image.Image":
    """The upright, opaque picture, of mode L or RGB."""
    _quieten_pillow()
    with _in_words(content, header):
        image = wide_samples.load(lambda: _open(content, header.format))
        if (image.width, image.height) not in {
            (header.width_px, header.height_px),
            (header.height_px, header.width_px),
        }:
            raise ValueError(f"{image.width}x{image.height} pixels, where the header gives another size")
        return _turn(_flatten(image, background_rgb), _orientation_to_apply(header))


def _orientation_to_apply(header: Header) -> int:
    # Pillow itself turns TIFFs when it loads them.
    return UPRIGHT if header.format == "tiff" else header.orientation


@contextmanager
def _in_words(content: bytes, header: Header) -> Iterator[None]:
    """Turns whatever Pillow's decoders raise on malformed files into UnreadableImage."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())[:200] or type(error).__name__
        is_short = "truncat" in text.lower() or _is_short(content, header.format)
        raise UnreadableImage("truncated" if is_short else "cannot be decoded", text) from None


def _open(content: bytes, image_format: str) -> "ImageFile.ImageFile":
    """Opens with the one plugin, so that Pillow's process-wide limit of pixels is not consulted nor changed."""
    from PIL import BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    plugins: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
        "jpeg": JpegImagePlugin.JpegImageFile,
        "png": PngImagePlugin.PngImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
        "gif": GifImagePlugin.GifImageFile,
        "bmp": BmpImagePlugin.BmpImageFile,
        "tiff": TiffImagePlugin.TiffImageFile,
    }
    return plugins[image_format](io.BytesIO(content))


def _is_short(content: bytes, image_format: str) -> bool:
    """Whether a WebP has fewer bytes than it says; its decoder does not tell."""
    return image_format == "webp" and int.from_bytes(content[4:8], "little") + 8 > len(content)


def _flatten(image: "Image.Image", background_rgb: Rgb) -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = wide_samples.grey_to_8_bits(image)
    if not image.has_transparency_data:
        return image.convert("L" if image.mode in ("1", "L") else "RGB")
    layer = image.convert("RGBA")
    flat = Image.new("RGB", layer.size, background_rgb)
    flat.paste(layer, mask=layer.getchannel("A"))
    return flat


def _turn(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image if orientation == UPRIGHT else image.transpose(ways[orientation])
