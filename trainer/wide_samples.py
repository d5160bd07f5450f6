"""Samples of more than 8 bits, scaled to 8.

Pillow (12.3) has no mode for colour of 16 bits: it keeps the high byte of every sample. With the order of the bytes
swapped it keeps the low one. So such a picture is read twice, and scaled rather than cut.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image, ImageFile

    Values = np.ndarray[Any, np.dtype[Any]]
    Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
# Pillow has no swapped order for this one: it is read as four bytes per pixel, two of grey and two of alpha.
_GREY_AND_ALPHA = "LA;16B"
# Tags of TIFF.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANES = 258, 262, 284
_WHITE_IS_ZERO, _SEPARATE = 0, 2


def load(open_image: "Callable[[], ImageFile.ImageFile]") -> "Image.Image":
    """Opens a picture and loads its pixels: 8 bits per sample, or mode I or F where its grey is wider.

    Raises:
        ValueError: it has colour of 16 bits in separate planes, which Pillow cannot read.
        Exception: anything that Pillow's decoders raise.
    """
    image = open_image()
    if not _is_wide_colour(image):
        image.load()
        return image
    rawmode = _rawmode(image)
    if ";16" not in rawmode or _tag(image, _PLANES) == _SEPARATE:
        raise ValueError("colour of 16 bits in separate planes is not read; save it as a PNG of 16 bits")
    if rawmode == _GREY_AND_ALPHA:
        return _grey_and_alpha(image)
    other = open_image()
    # Alpha that is multiplied in is divided out at the end, not in the halves.
    plain = rawmode.replace("RGBa", "RGBA")
    _load_as(image, plain)
    _load_as(other, plain[:-1] + _OTHER_ORDER[plain[-1]])
    mode = "RGBa" if plain != rawmode else image.mode
    return _merged(image, other, mode)


def _is_wide_colour(image: "ImageFile.ImageFile") -> bool:
    if image.mode not in ("RGB", "RGBA", "CMYK") or not image.tile:
        return False
    if image.format == "TIFF":
        bits = _tag(image, _BITS_PER_SAMPLE)
        return isinstance(bits, tuple) and 16 in bits
    return image.format == "PNG" and ";16" in _rawmode(image)


def _tag(image: "Image.Image", number: int) -> Any:
    return getattr(image, "tag_v2", {}).get(number)


def _rawmode(image: "ImageFile.ImageFile") -> str:
    arguments = image.tile[0].args
    return str(arguments[0]) if isinstance(arguments, tuple) else str(arguments)


def _load_as(image: "ImageFile.ImageFile", rawmode: str) -> None:
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]
    image.load()


def _merged(high: "Image.Image", low: "Image.Image", mode: str) -> "Image.Image":
    import numpy as np
    from PIL import Image

    def bands() -> "Any":
        for index in range(len(high.getbands())):
            yield np.asarray(high.getchannel(index)), np.asarray(low.getchannel(index))

    merged = Image.merge(mode, [Image.fromarray(scale_bytes(*band)) for band in bands()])
    transparent = high.info.get("transparency")
    if transparent is not None:
        is_opaque = np.zeros(high.size[::-1], bool)
        for (high_byte, low_byte), value in zip(bands(), transparent, strict=True):
            is_opaque |= (high_byte != value >> 8) | (low_byte != value & 255)
        merged.putalpha(Image.fromarray(is_opaque.astype(np.uint8) * np.uint8(255)))
    return merged.convert("RGBA") if mode == "RGBa" else merged


def _grey_and_alpha(image: "ImageFile.ImageFile") -> "Image.Image":
    import numpy as np
    from PIL import Image

    _load_as(image, "RGBA")
    grey, grey_low, alpha, alpha_low = (np.asarray(band) for band in image.split())
    return Image.merge("LA", [Image.fromarray(scale_bytes(*pair)) for pair in ((grey, grey_low), (alpha, alpha_low))])


def scale_bytes(high: "Bytes", low: "Bytes") -> "Bytes":
    """0 to 65535, as two bytes, to 0 to 255, rounded to the nearest.

    256 high + low is 257 high + (low - high): `high`, but for a difference of more than half of 257.
    """
    import numpy as np

    difference = low.astype(np.int16) - high
    scaled: np.ndarray[Any, np.dtype[np.uint8]] = high + (difference > 128).astype(np.uint8)
    scaled -= difference < -128
    return scaled


def grey_to_8_bits(image: "Image.Image") -> "Image.Image":
    """Scales grey samples of 12, 16 or 32 bits, or floating point; a transparent value becomes alpha.

    Args:
        image: loaded, of a mode I;16, I or F.

    Returns:
        Of mode L or LA.

    Raises:
        ValueError: the samples have no agreed range.
    """
    import numpy as np
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "F":
        scaled = _scale_unit(values)
    elif image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise ValueError("whole-number samples outside 0 to 65535 have no agreed range")
    else:
        scaled = _scale(values, 4095 if _tag(image, _BITS_PER_SAMPLE) == (12,) else 65535)
    if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        scaled = 255 - scaled
    grey = Image.fromarray(scaled)
    transparent = image.info.get("transparency")
    if transparent is None:
        return grey
    alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
    return Image.merge("LA", (grey, Image.fromarray(alpha)))


def _scale(values: "Values", largest: int) -> "Bytes":
    """0 to `largest` to 0 to 255, rounded to the nearest."""
    import numpy as np

    scaled: np.ndarray[Any, np.dtype[np.uint8]] = ((values.astype(np.uint32) * 255 + largest // 2) // largest).astype(
        np.uint8
    )
    return scaled


def _scale_unit(values: "Values") -> "Bytes":
    import numpy as np

    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError("floating-point samples outside 0 to 1 have no agreed range")
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)
