"""Pixels are what Pillow makes of the same file."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks import zoo
from trainer import image_forms, images
from trainer.photographs import normalise, read_header, reference_pixels

FORMS = zoo.make_zoo()


@cache
def graph(max_pixels: int = images.DEFAULT_MAX_PIXELS) -> tf.types.experimental.PolymorphicFunction:
    signature = [tf.TensorSpec([], tf.string)]
    return tf.function(lambda one: images.decode(one, zoo.BACKGROUND, max_pixels), input_signature=signature)


def decoded(content: bytes) -> np.ndarray:
    return graph()(content).numpy()


@pytest.mark.parametrize("name", [name for name in FORMS if name.startswith(zoo.AS_IS)])
def test_what_is_taken_as_it_is_has_pillows_pixels_exactly(name: str) -> None:
    content = FORMS[name]
    assert read_header(content).is_decodable_as_is
    np.testing.assert_array_equal(decoded(content), reference_pixels(content, zoo.BACKGROUND))


@pytest.mark.parametrize("name", [name for name in FORMS if not name.startswith(zoo.AS_IS)])
def test_other_forms_are_refused_as_they_are_and_have_pillows_pixels_when_normalised(name: str) -> None:
    content = FORMS[name]
    header = read_header(content)
    assert not header.is_decodable_as_is
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        decoded(content)
    normal = normalise(content, header, zoo.BACKGROUND)
    np.testing.assert_array_equal(decoded(normal), reference_pixels(content, zoo.BACKGROUND))


def test_every_orientation_in_either_byte_order_gives_the_upright_photograph() -> None:
    upright = decoded(FORMS["jpeg"])
    turned = {2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 6: np.rot90(upright, -1)}
    turned |= {1: upright, 5: upright.swapaxes(0, 1), 7: np.rot90(upright[:, ::-1], -1), 8: np.rot90(upright)}
    for orientation, expected in turned.items():
        for order in ("little", "big"):
            np.testing.assert_array_equal(decoded(FORMS[f"jpeg_turned_{orientation}_{order}"]), expected)
        turned_png = FORMS[f"turned_png_{orientation}"]
        assert decoded(normalise(turned_png, read_header(turned_png), zoo.BACKGROUND)).shape == expected.shape


@pytest.mark.parametrize("interlaced", [False, True])
def test_sixteen_bits_are_scaled_not_cut(interlaced: bool) -> None:
    values = zoo.wide(zoo.photograph())
    alpha = np.linspace(0, 65535, zoo.WIDTH_PX).astype(np.uint16)[None].repeat(zoo.HEIGHT_PX, axis=0)
    colour = zoo.png(values, 2, 16, interlaced)
    layered = zoo.png(np.dstack([values, alpha]), 6, 16, interlaced)
    grey_layered = zoo.png(np.dstack([values[..., 0], alpha]), 4, 16, interlaced)
    scaled, scaled_alpha = zoo.narrow(values), zoo.narrow(alpha)
    assert (scaled != values >> 8).any()
    np.testing.assert_array_equal(decoded(colour), scaled)
    np.testing.assert_array_equal(decoded(layered), zoo.laid_onto(scaled, scaled_alpha))
    grey = scaled[..., :1].repeat(3, axis=-1)
    np.testing.assert_array_equal(decoded(grey_layered), zoo.laid_onto(grey, scaled_alpha))


def test_a_transparent_colour_of_sixteen_bits_shows_the_background() -> None:
    values = zoo.wide(zoo.photograph())
    found = decoded(zoo.png(values, 2, 16, tRNS=values[3, 5].astype(">u2").tobytes()))
    assert tuple(found[3, 5]) == zoo.BACKGROUND
    is_other = (values != values[3, 5]).any(axis=-1)
    np.testing.assert_array_equal(found[is_other], zoo.narrow(values)[is_other])


def test_scaling_of_sixteen_bits_and_compositing_are_right_for_every_value() -> None:
    every = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(image_forms.scale_16_bits(tf.constant(every)), zoo.narrow(every))
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    layers = np.dstack([colour, colour, colour, alpha]).astype(np.uint8)
    np.testing.assert_array_equal(
        image_forms.composite(tf.constant(layers), (0, 77, 255)),
        zoo.laid_onto(layers[..., :3], layers[..., 3], (0, 77, 255)),
    )


def test_too_many_pixels_are_refused_from_the_header_alone() -> None:
    num_pixels = zoo.HEIGHT_PX * zoo.WIDTH_PX
    for name in ("jpeg", "png", "webp_lossy", "webp_lossless", "webp_alpha", "bmp24"):
        assert graph(num_pixels)(FORMS[name]).shape == (zoo.HEIGHT_PX, zoo.WIDTH_PX, 3)
        with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
            graph(num_pixels - 1)(FORMS[name])


def test_a_jpeg_of_too_many_scans_is_refused_and_innocent_bytes_behind_it_are_not() -> None:
    progressive = FORMS["jpeg_progressive"]
    start = progressive.rindex(b"\xff\xda")
    scan = progressive[start:-2]
    many = progressive[:-2] + 600 * scan + b"\xff\xd9"
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        decoded(many)
    np.testing.assert_array_equal(decoded(FORMS["jpeg"] + 600 * b"\xff\xda"), decoded(FORMS["jpeg"]))


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"no image", b"BM", b"RIFF....WEBPVP8X", b"\x89PNG\r\n\x1a\n"]
)
def test_bad_bytes_are_an_invalid_argument(content: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(content)


@pytest.mark.parametrize("name", zoo.AS_IS)
def test_a_truncated_file_is_an_invalid_argument(name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(FORMS[name][: len(FORMS[name]) // 2])


@pytest.mark.parametrize("size_px", [32, 224, 800])
@pytest.mark.parametrize("which", [0, 1])
def test_resizing_is_pillows_antialiased_bilinear(which: int, size_px: int) -> None:
    photograph = Image.fromarray(load_sample_images().images[which])
    found = images.decode_and_resize(tf.constant(zoo.encode(photograph, "PNG")), size_px)
    assert found.dtype == tf.uint8
    expected = np.asarray(photograph.resize((size_px, size_px), Image.Resampling.BILINEAR), int)
    off = np.abs(found.numpy().astype(int) - expected)
    assert off.max() <= 1
    assert off.mean() < 0.25


def test_scaled_decoding_changes_large_jpegs_a_little_and_small_ones_not_at_all() -> None:
    photograph = Image.fromarray(load_sample_images().images[0])
    small, large = (zoo.encode(photograph.resize(size), "JPEG", quality=90) for size in ((127, 255), (1400, 1200)))

    def resized(content: bytes, scaled_decoding: bool) -> np.ndarray:
        return images.decode_and_resize(tf.constant(content), 64, scaled_decoding=scaled_decoding).numpy().astype(int)

    np.testing.assert_array_equal(resized(small, True), resized(small, False))
    off = np.abs(resized(large, True) - resized(large, False))
    assert 0 < off.mean() < 0.5
    assert off.max() <= 6


def test_unpack_gives_back_what_was_packed() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    packed = images.pack(tf.constant(pixels))
    np.testing.assert_array_equal(images.unpack(packed, 5), pixels)
    assert len(packed.numpy()) < pixels.size + 100
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        images.unpack(packed, 6)


def test_map_batch_keeps_the_order_and_takes_an_empty_batch() -> None:
    photograph = Image.fromarray(zoo.photograph())
    contents = [zoo.encode(photograph.resize((size, size)), "PNG") for size in (4, 9, 6)]

    def width(content: tf.Tensor) -> tf.Tensor:
        return tf.shape(images.decode(content))[1]

    scalar = tf.TensorSpec([], tf.int32)
    assert images.map_batch(width, tf.constant(contents), scalar).numpy().tolist() == [4, 9, 6]
    assert images.map_batch(width, tf.constant([], tf.string), scalar).shape == (0,)


@pytest.mark.parametrize("size_px", [(375, 500), (500, 375), (96, 96), (95, 97), (1, 1), (1, 300), (13, 7), (1000, 60)])
def test_resizing_gives_the_bits_of_tensorflows_own(size_px: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size_px, 3), np.uint8)
    theirs = tf.image.resize(pixels, [96, 96], method="bilinear", antialias=True)
    expected = tf.cast(tf.clip_by_value(tf.round(theirs), 0.0, 255.0), tf.uint8)
    np.testing.assert_array_equal(images.resize(tf.constant(pixels), 96), expected)
