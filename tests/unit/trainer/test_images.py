"""Pixels are what Pillow makes of the same file."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from trainer import images


@pytest.fixture(scope="module", params=["china", "flower"])
def photograph(request: pytest.FixtureRequest) -> Image.Image:
    """A real photograph of 640×427 pixels."""
    bunch = load_sample_images()
    (pixels,) = (pixels for name, pixels in zip(bunch.filenames, bunch.images, strict=True) if request.param in name)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def difference(found: tf.Tensor, expected: Image.Image) -> np.ndarray:
    return np.abs(found.numpy().astype(int) - np.asarray(expected.convert("RGB"), int))


@pytest.mark.parametrize("size_px", [32, 224, 800])
def test_decode_and_resize_gives_pillows_antialiased_bilinear(photograph: Image.Image, size_px: int) -> None:
    found = images.decode_and_resize(tf.constant(encoded(photograph, "PNG")), size_px)
    assert found.dtype == tf.uint8
    off = difference(found, photograph.resize((size_px, size_px), Image.Resampling.BILINEAR))
    assert off.max() <= 1
    assert off.mean() < 0.25


def test_a_jpeg_is_decoded_much_as_pillow_decodes_it(photograph: Image.Image) -> None:
    """Not exactly: TensorFlow's default is libjpeg's faster transform. Training and serving both use it."""
    content = encoded(photograph, "JPEG", quality=90)
    off = difference(images.decode(tf.constant(content)), Image.open(io.BytesIO(content)))
    assert off.mean() < 1.5


def test_a_progressive_jpeg_is_decoded_too(photograph: Image.Image) -> None:
    content = encoded(photograph, "JPEG", quality=90, progressive=True)
    off = difference(images.decode(tf.constant(content)), Image.open(io.BytesIO(content)))
    assert off.mean() < 1.5


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_greyscale_is_repeated_over_the_channels(photograph: Image.Image, file_format: str) -> None:
    found = images.decode(tf.constant(encoded(photograph.convert("L"), file_format))).numpy()
    assert found.shape == (427, 640, 3)
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_alpha_is_dropped(photograph: Image.Image) -> None:
    transparent = photograph.copy()
    transparent.putalpha(100)
    assert not difference(images.decode(tf.constant(encoded(transparent, "PNG"))), photograph).any()


def test_a_palette_becomes_colours(photograph: Image.Image) -> None:
    palette = photograph.quantize(64)
    assert not difference(images.decode(tf.constant(encoded(palette, "PNG"))), palette).any()


def test_sixteen_bits_are_cut_to_eight() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    found = images.decode(tf.constant(encoded(Image.fromarray(values), "PNG"))).numpy()
    assert np.abs(found[..., 0].astype(int) - (values >> 8)).max() <= 1


def test_a_cmyk_jpeg_is_decoded_to_three_channels(photograph: Image.Image) -> None:
    """Not with Pillow's colours: libjpeg's conversion is a plainer one."""
    found = images.decode(tf.constant(encoded(photograph.convert("CMYK"), "JPEG")))
    assert found.shape == (427, 640, 3)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_truncated_file_raises(photograph: Image.Image, file_format: str) -> None:
    content = encoded(photograph, file_format)
    with pytest.raises(tf.errors.InvalidArgumentError):
        images.decode(tf.constant(content[: len(content) // 2]))


def test_unpack_gives_back_what_was_packed() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    packed = images.pack(tf.constant(pixels))
    np.testing.assert_array_equal(images.unpack(packed, 5), pixels)
    assert len(packed.numpy()) < pixels.size + 100
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        images.unpack(packed, 6)


def test_map_batch_keeps_the_order_and_takes_an_empty_batch(photograph: Image.Image) -> None:
    contents = [encoded(photograph.resize((size, size)), "PNG") for size in (4, 9, 6)]

    def width(content: tf.Tensor) -> tf.Tensor:
        return tf.shape(images.decode(content))[1]

    scalar = tf.TensorSpec([], tf.int32)
    assert images.map_batch(width, tf.constant(contents), scalar).numpy().tolist() == [4, 9, 6]
    assert images.map_batch(width, tf.constant([], tf.string), scalar).shape == (0,)
