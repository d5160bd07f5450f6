"""Samples of more than 8 bits: scaled, in every form in which Pillow would cut them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import zoo
from trainer.photographs import UnreadableImage, normalise, read_header, reference_pixels
from trainer.wide_samples import scale_bytes

WIDE = zoo.wide(zoo.photograph())
ALPHA = np.linspace(0, 65535, zoo.WIDTH_PX).astype(np.uint16)[None].repeat(zoo.HEIGHT_PX, axis=0)
LAYERED = np.dstack([WIDE, ALPHA])
SCALED, SCALED_ALPHA = zoo.narrow(WIDE), zoo.narrow(ALPHA)
RGB, WHITE_IS_ZERO, BLACK_IS_ZERO, CMYK = 2, 0, 1, 5
OTHER, MULTIPLIED, PLAIN = 0, 1, 2  # kinds of a fourth sample
TOGETHER, SEPARATE = 1, 2


def tiff(
    values: np.ndarray, photometric: int = RGB, order: str = "<", compression: int = 1, **tags: int | list[int]
) -> bytes:
    """A TIFF of one strip by hand, for Pillow writes no colour of 16 bits.

    Args:
        values: uint16 [height, width] or [height, width, channels]; or the packed bytes of a row, uint8.
        photometric: what the samples mean.
        order: "<" or ">".
        compression: 1 for none, 8 for zlib.
        **tags: further ones, "t" and the number; or in place of those that follow from the values.
    """
    height, width, *more = values.shape
    (num_channels,) = more or (1,)
    planes = tags.get("t284", TOGETHER)
    strips = [values] if planes == TOGETHER else list(np.moveaxis(values, -1, 0))
    data = [np.ascontiguousarray(strip.astype(values.dtype.newbyteorder(order))).tobytes() for strip in strips]
    data = [zlib.compress(strip) for strip in data] if compression == 8 else data
    offsets = [8 + sum(map(len, data[:index])) for index in range(len(data))]
    entries = {256: width, 257: height, 258: [16] * num_channels, 259: compression, 262: photometric, 273: offsets}
    entries |= {277: num_channels, 278: height, 279: [len(strip) for strip in data], 284: planes}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    body = b"".join(data)
    body += bytes(len(body) % 2)
    place = 8 + len(body) + 2 + 12 * len(entries) + 4
    table, after = b"", b""
    for tag, value in sorted(entries.items()):
        numbers = value if isinstance(value, list) else [value]
        packed = struct.pack(f"{order}{len(numbers)}L", *numbers)
        if len(packed) > 4:
            packed, after = struct.pack(order + "L", place + len(after)), after + packed
        table += struct.pack(order + "HHL", tag, 4, len(numbers)) + packed
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8 + len(body))
    return start + body + struct.pack(order + "H", len(entries)) + table + bytes(4) + after


def pixels(content: bytes) -> np.ndarray:
    return reference_pixels(content, zoo.BACKGROUND)


def test_two_bytes_are_scaled_to_the_nearest_for_every_value() -> None:
    every = np.arange(65536)
    found = scale_bytes((every >> 8).astype(np.uint8), (every & 255).astype(np.uint8))
    np.testing.assert_array_equal(found, zoo.narrow(every))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
def test_colour_of_sixteen_bits_in_a_tiff_is_scaled_not_cut(order: str, compression: int) -> None:
    def found(values: np.ndarray, photometric: int = RGB, **tags: int) -> np.ndarray:
        return pixels(tiff(values, photometric, order, compression, **tags))

    assert (SCALED != WIDE >> 8).any()
    np.testing.assert_array_equal(found(WIDE), SCALED)
    np.testing.assert_array_equal(found(WIDE, t274=6), np.rot90(SCALED, -1))
    np.testing.assert_array_equal(found(LAYERED, t338=OTHER), SCALED)
    np.testing.assert_array_equal(found(LAYERED, t338=PLAIN), zoo.laid_onto(SCALED, SCALED_ALPHA))
    inks = Image.fromarray(np.dstack([SCALED, SCALED_ALPHA]), "CMYK").convert("RGB")
    np.testing.assert_array_equal(found(LAYERED, CMYK), np.asarray(inks))


def test_alpha_of_sixteen_bits_that_is_multiplied_in_is_divided_out() -> None:
    multiplied = (WIDE.astype(np.uint64) * ALPHA[..., None] // 65535).astype(np.uint16)
    found = pixels(tiff(np.dstack([multiplied, ALPHA]), t338=MULTIPLIED))
    off = np.abs(found.astype(int) - zoo.laid_onto(SCALED, SCALED_ALPHA))
    assert off.max() <= 2  # where little is left of the colour


@pytest.mark.parametrize("compression", [1, 8])
def test_colour_of_sixteen_bits_in_separate_planes_is_refused_with_a_remedy(compression: int) -> None:
    content = tiff(WIDE, compression=compression, t284=SEPARATE)
    with pytest.raises(UnreadableImage, match=r"cannot be decoded: colour of 16 bits .* save it as a PNG of 16 bits"):
        normalise(content, read_header(content), zoo.BACKGROUND)


def test_a_grey_tiff_whose_zero_is_white_is_not_inverted() -> None:
    np.testing.assert_array_equal(pixels(tiff(WIDE[..., 0], BLACK_IS_ZERO))[..., 0], SCALED[..., 0])
    np.testing.assert_array_equal(pixels(tiff(WIDE[..., 0], WHITE_IS_ZERO))[..., 0], 255 - SCALED[..., 0])


def test_a_grey_tiff_of_twelve_bits_is_as_bright_as_it_should_be() -> None:
    values = np.arange(4096).reshape(64, 64)
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(64, 64, 2), axis=-1)[..., 4:]
    packed = np.packbits(bits.reshape(64, -1), axis=-1)
    found = pixels(tiff(packed, BLACK_IS_ZERO, t256=64, t258=12))
    np.testing.assert_array_equal(found[..., 0], np.rint(values / 4095 * 255))


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_turned_png_of_sixteen_bits_is_scaled_not_cut(interlaced: bool) -> None:
    def found(values: np.ndarray, colour_type: int, **chunks: bytes) -> np.ndarray:
        content = zoo.png(values, colour_type, 16, interlaced, eXIf=zoo.exif(6), **chunks)
        assert not read_header(content).is_decodable_as_is
        return np.rot90(pixels(content))

    grey_layers = np.dstack([WIDE[..., 0], ALPHA])
    np.testing.assert_array_equal(found(WIDE, 2), SCALED)
    np.testing.assert_array_equal(found(LAYERED, 6), zoo.laid_onto(SCALED, SCALED_ALPHA))
    grey = SCALED[..., :1].repeat(3, axis=-1)
    np.testing.assert_array_equal(found(grey_layers, 4), zoo.laid_onto(grey, SCALED_ALPHA))
    named = found(WIDE, 2, tRNS=WIDE[3, 5].astype(">u2").tobytes())
    is_other = (WIDE[3, 5] != WIDE).any(axis=-1)
    assert (named[~is_other] == zoo.BACKGROUND).all()
    np.testing.assert_array_equal(named[is_other], SCALED[is_other])


def test_the_normal_form_of_wide_colour_holds_the_scaled_pixels() -> None:
    content = tiff(WIDE)
    normal = normalise(content, read_header(content), zoo.BACKGROUND)
    with Image.open(io.BytesIO(normal)) as image:
        np.testing.assert_array_equal(np.asarray(image), SCALED)
