"""What is refused at the door, with which reason; and that what is let in can be decoded later."""

import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from components.image_example_gen.checking import CheckedPhotograph, check_photograph
from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from trainer.images import decode

MAX_PIXELS = 100_000_000


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(load_sample_image("china.jpg")).resize((96, 64))


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def check(content: bytes, max_pixels: int = MAX_PIXELS, **changes: object) -> CheckedPhotograph:
    return check_photograph(content, IngestionSettings(images="/nowhere", max_image_pixels=max_pixels, **changes))


def refusal(content: bytes, max_pixels: int = MAX_PIXELS, **changes: object) -> Refusal:
    with pytest.raises(Refusal) as raised:
        check(content, max_pixels, **changes)
    return raised.value


def size_of(checked: CheckedPhotograph) -> tuple[str, int, int]:
    return checked.header.format, checked.header.width_px, checked.header.height_px


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has nothing more to say."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("file_format", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "L", {}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "L", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("BMP", "RGB", {}),
    ],
)
def test_a_whole_image_is_let_in_with_its_size(
    photograph: Image.Image, file_format: str, mode: str, options: dict[str, object]
) -> None:
    content = encoded(photograph.convert(mode), file_format, **options)
    checked = check(content)
    assert size_of(checked) == (file_format.lower(), 96, 64)
    assert checked.content == content and not checked.is_normalised
    assert decode(tf.constant(content)).shape == (64, 96, 3)


def test_two_pictures_in_one_jpeg_are_let_in_as_the_first(photograph: Image.Image) -> None:
    content = encoded(photograph, "MPO", save_all=True, append_images=[photograph.rotate(90)])
    assert size_of(check(content)) == ("jpeg", 96, 64)
    assert decode(tf.constant(content)).shape == (64, 96, 3)


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"").reason is Reason.EMPTY_FILE


@pytest.mark.parametrize("content", [b"just a text\n", bytes(1000)])
def test_what_is_no_image_is_refused_as_such(content: bytes) -> None:
    found = refusal(content)
    assert found.reason is Reason.NOT_AN_IMAGE
    assert repr(content[:4])[2:-1] in found.detail


@pytest.mark.parametrize("content", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_an_image_that_ends_in_its_header_is_refused_as_truncated(content: bytes) -> None:
    assert refusal(content).reason is Reason.TRUNCATED


@pytest.mark.parametrize(("file_format", "mode"), [("GIF", "P"), ("TIFF", "RGB"), ("JPEG", "CMYK"), ("BMP", "P")])
def test_what_tensorflow_would_decode_otherwise_is_kept_as_a_png_of_the_same_pixels(
    photograph: Image.Image, file_format: str, mode: str
) -> None:
    original = photograph.convert(mode)
    content = encoded(original, file_format)
    checked = check(content)
    assert checked.is_normalised and checked.format == "png"
    assert checked.header.format == file_format.lower()
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(decode(tf.constant(checked.content)).numpy(), np.asarray(image.convert("RGB")))


def test_another_format_is_refused_by_its_name(photograph: Image.Image) -> None:
    found = refusal(encoded(photograph, "PPM"))
    assert found.reason in (Reason.UNSUPPORTED_FORMAT, Reason.NOT_AN_IMAGE)


def test_several_frames_are_refused_unless_allowed_and_then_the_first_is_taken(photograph: Image.Image) -> None:
    moving = encoded(photograph, "GIF", save_all=True, append_images=[photograph.rotate(90)])
    found = refusal(moving)
    assert found.reason is Reason.ANIMATED
    assert "2 frames" in found.detail and "data.allow_animated" in found.detail
    checked = check(moving, allow_animated=True)
    still = check(encoded(photograph, "GIF"))
    np.testing.assert_array_equal(checked.small_pixels, still.small_pixels)


def test_what_takes_longer_than_allowed_is_refused(photograph: Image.Image) -> None:
    found = refusal(encoded(photograph, "JPEG"), max_image_seconds=1e-9)
    assert found.reason is Reason.TOOK_TOO_LONG


@pytest.mark.parametrize("orientation", range(1, 9))
def test_small_pixels_stand_upright(photograph: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = photograph.resize((960, 640))
    content = encoded(large, "JPEG", exif=exif, quality=95)
    with Image.open(io.BytesIO(content)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image)).astype(float)
    small = check(content).small_pixels.astype(float)
    assert small.shape == (upright.shape[0] // 8, upright.shape[1] // 8, 3)
    expected = upright.reshape(small.shape[0], 8, small.shape[1], 8, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).mean() < 2


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_image_is_refused(photograph: Image.Image, file_format: str, share: float) -> None:
    content = encoded(photograph, file_format)
    found = refusal(content[: int(len(content) * share)])
    assert found.reason is Reason.TRUNCATED
    assert found.detail and "\n" not in found.detail


def test_more_pixels_than_allowed_are_refused_with_both_numbers(photograph: Image.Image) -> None:
    content = encoded(photograph, "PNG")
    assert check(content, 96 * 64)
    found = refusal(content, max_pixels=96 * 64 - 1)
    assert found.reason is Reason.TOO_MANY_PIXELS
    assert "96x64" in found.detail and "6143" in found.detail


@pytest.mark.parametrize("side_px", [12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_memory_is_taken(
    side_px: int, most_memory_mib: Callable[[Callable[[], object]], float]
) -> None:
    """60,000 is beyond Pillow's own limit, 12,000 below it."""
    check(png_header_of_one_pixel())
    bomb, found = png_header(side_px, side_px), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert most_memory_mib(lambda: found.append(refusal(bomb).reason)) < 50
    assert found == [Reason.TOO_MANY_PIXELS]
    assert most_memory_mib(lambda: np.ones(60 << 20, np.uint8)) > 50


def png_header_of_one_pixel() -> bytes:
    return encoded(Image.new("RGB", (1, 1)), "PNG")


def test_the_limit_that_counts_is_ours_and_not_pillows() -> None:
    found = refusal(png_header(20_000, 20_000), max_pixels=500_000_000)
    assert found.reason is not Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_whatever_is_let_in_can_be_decoded_by_training(photograph: Image.Image, file_format: str) -> None:
    """300 files with bits flipped or bytes cut: a file that passed and then failed would stop a whole run."""
    draw = random.Random(7)
    content = encoded(photograph, file_format)
    num_accepted = 0
    for _ in range(300):
        mutated = bytearray(
            content[: draw.randrange(len(content) // 2, len(content) + 1)] if draw.random() < 0.3 else content
        )
        for _ in range(draw.randrange(4)):
            mutated[draw.randrange(len(mutated))] ^= 1 << draw.randrange(8)
        try:
            checked = check(bytes(mutated))
        except Refusal as found:
            assert found.reason in set(Reason)
            continue
        num_accepted += 1
        height_px, width_px = checked.header.height_px, checked.header.width_px
        if checked.header.orientation >= 5:
            height_px, width_px = width_px, height_px
        assert decode(tf.constant(checked.content)).shape == (height_px, width_px, 3)
    assert 20 < num_accepted < 300
