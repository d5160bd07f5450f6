"""RandAugment's operations against Pillow's, on real photographs."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from varied import Batch, vary

from trainer.augmentation import colour, geometry, rand_augment
from trainer.augmentation_settings import RandAugmentSettings

FACTORS = (0.1, 0.6, 1.0, 1.4, 1.9)
ENHANCERS = {
    "brightness": (colour.brightness, ImageEnhance.Brightness),
    "contrast": (colour.contrast, ImageEnhance.Contrast),
    "saturation": (colour.saturation, ImageEnhance.Color),
    "sharpness": (colour.sharpness, ImageEnhance.Sharpness),
}
OTHERS = {
    "autocontrast": (colour.autocontrast, ImageOps.autocontrast),
    "equalize": (colour.equalize, ImageOps.equalize),
    "posterize": (lambda images: colour.posterize(images, 4), lambda image: ImageOps.posterize(image, 4)),
    "solarize": (lambda images: colour.solarize(images, 100.0), lambda image: ImageOps.solarize(image, 100)),
}


@pytest.mark.parametrize("ours, pillows", ENHANCERS.values(), ids=ENHANCERS)
def test_enhancements_are_those_of_pillow(photographs: Batch, ours, pillows) -> None:
    images = tf.cast(photographs.pixels, tf.float32)
    for factor in FACTORS:
        enhanced = ours(images, tf.fill([len(photographs.pixels)], factor)).numpy()
        expected = np.stack(
            [np.asarray(pillows(Image.fromarray(image)).enhance(factor)) for image in photographs.pixels]
        )
        # Pillow rounds what it blends with, and the result; 1.9 and -0.9 times half a level.
        assert np.abs(enhanced - expected).max() <= 2.0, factor


@pytest.mark.parametrize("ours, pillows", OTHERS.values(), ids=OTHERS)
def test_the_other_changes_of_colour_are_those_of_pillow(photographs: Batch, ours, pillows) -> None:
    dim = photographs.pixels // 3 + 20  # leaves autocontrast and equalize something to do
    for pixels in (photographs.pixels, dim):
        expected = np.stack([np.asarray(pillows(Image.fromarray(image))) for image in pixels])
        most = 1.0 if ours is colour.autocontrast else 0.0  # Pillow cuts off what it stretches to
        assert np.abs(ours(tf.cast(pixels, tf.float32)).numpy() - expected).max() <= most


@pytest.mark.parametrize("value", [0, 77, 255])
def test_images_of_one_colour_stay(value: int) -> None:
    images = tf.fill([2, 9, 9, 3], float(value))
    for change in (colour.autocontrast, colour.equalize):
        np.testing.assert_array_equal(change(images), images)


def test_a_rotation_by_a_right_angle_is_numpys(photographs: Batch) -> None:
    images = tf.cast(photographs.pixels, tf.float32)
    rotated = geometry.rotate(images, tf.fill([len(photographs.pixels)], np.float32(np.pi / 2))).numpy()
    expected = np.rot90(photographs.pixels, axes=(1, 2))
    # At the border a coordinate may lie a rounding error outside.
    np.testing.assert_allclose(rotated[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=0.1)


def test_a_translation_is_a_shift_that_leaves_grey(photographs: Batch) -> None:
    images = tf.cast(photographs.pixels, tf.float32)
    quarter, zero = tf.fill([len(photographs.pixels)], 0.25), tf.zeros([len(photographs.pixels)])
    left = geometry.translate(images, quarter, zero).numpy()
    np.testing.assert_array_equal(left[:, :, :48], photographs.pixels[:, :, 16:])
    assert (left[:, :, 48:] == geometry.FILL_VALUE).all()
    down = geometry.translate(images, zero, -quarter).numpy()
    np.testing.assert_array_equal(down[:, 16:], photographs.pixels[:, :-16])


def test_a_shear_leaves_the_middle_and_moves_the_ends_opposite_ways() -> None:
    rows, columns = np.mgrid[0:65, 0:65].astype(np.float32)
    images = tf.constant(np.stack([columns, rows, 0 * rows], axis=-1)[None])
    along_x = geometry.shear_x(images, tf.constant([0.2])).numpy()[0, :, 32, 0]
    np.testing.assert_allclose(along_x, 32 + 0.2 * (np.arange(65) - 32), atol=1e-3)
    along_y = geometry.shear_y(images, tf.constant([0.2])).numpy()[0, 32, :, 1]
    np.testing.assert_allclose(along_y, 32 + 0.2 * (np.arange(65) - 32), atol=1e-3)


@pytest.mark.parametrize("name", rand_augment.OPERATIONS)
def test_a_magnitude_of_almost_nothing_changes_almost_nothing(photographs: Batch, name: str) -> None:
    if name in ("autocontrast", "equalize"):
        return  # they have no strength
    images = tf.cast(photographs.pixels, tf.float32)
    changed = rand_augment.OPERATIONS[name](images, 1e-6, tf.ones([len(photographs.pixels)])).numpy()
    np.testing.assert_allclose(changed[:, 1:-1, 1:-1], photographs.pixels[:, 1:-1, 1:-1], atol=0.1)


@pytest.mark.parametrize("name", [name for name in rand_augment.OPERATIONS if name != "identity"])
def test_every_operation_changes_more_at_the_greatest_magnitude(photographs: Batch, name: str) -> None:
    images = tf.cast(photographs.pixels // 2 + 30, tf.float32)
    changes = [
        np.abs(rand_augment.OPERATIONS[name](images, magnitude, tf.ones([len(images)])) - images).mean()
        for magnitude in (0.5, 1.0)
    ]
    assert changes[1] > 1
    assert changes[1] >= changes[0]


def test_each_operation_is_drawn_equally_often(digit_batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """With operations in their place that write their number into the image."""
    numbered = {
        name: (lambda images, magnitude, signs, number=number: images * 0 + number)
        for number, name in enumerate(rand_augment.OPERATIONS)
    }
    monkeypatch.setattr(rand_augment, "OPERATIONS", numbered)
    settings = RandAugmentSettings(num_operations=1, magnitude=0.321)  # no other test's, whose graph would be kept
    drawn = vary(digit_batch.repeated(200), rand_augment=settings).pixels
    assert (np.ptp(drawn, axis=(1, 2, 3)) == 0).all()
    counts = np.bincount(drawn[:, 0, 0, 0].astype(int), minlength=14)
    assert len(counts) == 14
    np.testing.assert_allclose(counts / counts.sum(), 1 / 14, atol=0.02)


def test_operations_follow_one_another(digit_batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an operation in the place of all that adds 1."""
    monkeypatch.setattr(rand_augment, "OPERATIONS", {"add": lambda images, magnitude, signs: images + 1})
    settings = RandAugmentSettings(num_operations=3, magnitude=0.213)  # no other test's, whose graph would be kept
    np.testing.assert_array_equal(vary(digit_batch, rand_augment=settings).pixels, digit_batch.pixels + 3.0)


def test_half_of_the_images_are_changed_the_other_way(digit_batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an operation in the place of all that writes its sign into the image."""
    monkeypatch.setattr(
        rand_augment,
        "OPERATIONS",
        {"sign": lambda images, magnitude, signs: images * 0 + geometry.per_image(signs)},
    )
    settings = RandAugmentSettings(num_operations=1, magnitude=0.123)  # no other test's, whose graph would be kept
    drawn = vary(digit_batch.repeated(200), rand_augment=settings).pixels
    assert set(np.unique(drawn)) == {-1, 1}
    assert abs(drawn.mean()) < 0.1
