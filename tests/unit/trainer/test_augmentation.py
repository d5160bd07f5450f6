"""What happens to a batch of training images, on real photographs and digits."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from varied import SIZE_PX, Batch, all_of_it, seeds_of_batch, vary

from trainer.augmentation import draws, geometry
from trainer.augmentation_settings import AugmentationSettings, RandAugmentSettings

ALONE = {
    "flip": {"horizontal_flip": True, "vertical_flip": True},
    "crop": {"min_crop_fraction": 0.2},
    "colour": {"colour_strength": 0.5},
    "rand_augment": {"rand_augment": RandAugmentSettings(num_operations=3, magnitude=0.8)},
    "erasing": {"erasing_probability": 0.8},
}
MIXED = {"MixUp": {"mix_up_alpha": 0.4}, "CutMix": {"cut_mix_alpha": 1.0}}
each_alone = pytest.mark.parametrize("keys", ALONE.values(), ids=ALONE)
each_mixed = pytest.mark.parametrize("keys", MIXED.values(), ids=MIXED)
each = pytest.mark.parametrize("keys", [*ALONE.values(), *MIXED.values()], ids=[*ALONE, *MIXED])


def test_settings_of_nothing_change_nothing(photographs: Batch) -> None:
    varied = vary(photographs)
    assert varied.pixels.dtype == np.float32
    np.testing.assert_array_equal(varied.pixels, photographs.pixels)
    np.testing.assert_array_equal(varied.labels, photographs.labels)


@each
def test_images_keep_their_form_and_range(photographs: Batch, keys: dict) -> None:
    varied = vary(photographs, **keys)
    assert varied.pixels.dtype == varied.labels.dtype == np.float32
    assert varied.pixels.shape == photographs.pixels.shape
    assert varied.pixels.min() >= 0
    assert varied.pixels.max() <= 255
    assert np.abs(varied.pixels - photographs.pixels).max() > 10


@each
def test_same_seeds_give_the_same_bytes_and_others_do_not(photographs: Batch, keys: dict) -> None:
    once, again = vary(photographs, **keys), vary(photographs, **keys)
    assert once.pixels.tobytes() == again.pixels.tobytes()
    assert once.labels.tobytes() == again.labels.tobytes()
    others = vary(photographs.with_seeds(seeds_of_batch(1, 7, len(photographs.pixels))), **keys)
    assert once.pixels.tobytes() != others.pixels.tobytes()


@each_alone
def test_images_alone_do_not_depend_on_the_rest_of_the_batch(photographs: Batch, keys: dict) -> None:
    whole = vary(photographs, **keys)
    halves = [vary(photographs[:5], **keys), vary(photographs[5:], **keys)]
    # The last bit of an exponential depends on whether the processor computes it alone or together with others.
    np.testing.assert_allclose(whole.pixels, np.concatenate([half.pixels for half in halves]), atol=5e-3)
    backwards = vary(photographs[::-1], **keys)
    np.testing.assert_allclose(whole.pixels[::-1], backwards.pixels, atol=5e-3)
    np.testing.assert_array_equal(whole.labels, photographs.labels)


@each
def test_padding_stays_as_it_is(photographs: Batch, keys: dict) -> None:
    padded = photographs.padded_from(7)
    varied = vary(padded, **keys)
    np.testing.assert_array_equal(varied.pixels[7:], padded.pixels[7:])
    np.testing.assert_array_equal(varied.labels[7:], padded.labels[7:])
    assert (varied.pixels[:7] != padded.pixels[:7]).any()


@each
def test_a_share_of_padding_alone_is_allowed(digit_batch: Batch, keys: dict) -> None:
    nothing = digit_batch.padded_from(0)
    np.testing.assert_array_equal(vary(nothing, **keys).pixels, nothing.pixels)


@each
def test_the_smallest_images_can_be_varied(digit_batch: Batch, keys: dict) -> None:
    varied = vary(digit_batch, **keys)
    assert np.isfinite(varied.pixels).all()
    assert varied.pixels.shape == (len(digit_batch.pixels), 8, 8, 3)


def test_flips_are_those_of_numpy_for_half_of_the_images(digit_batch: Batch) -> None:
    many = digit_batch.repeated(20)
    for keys, flip in (({"horizontal_flip": True}, np.fliplr), ({"vertical_flip": True}, np.flipud)):
        varied = vary(many, **keys).pixels
        flipped = np.stack([flip(image) for image in many.pixels])
        is_flipped = (varied == flipped).all(axis=(1, 2, 3))
        is_same = (varied == many.pixels).all(axis=(1, 2, 3))
        assert (is_flipped | is_same).all()
        assert 0.45 < is_flipped.mean() < 0.55


@pytest.mark.parametrize("min_fraction", [0.08, 0.5, 0.95])
def test_crops_are_within_the_image_and_as_large_as_promised(min_fraction: float) -> None:
    """On a picture whose colours are its coordinates, a crop shows where it comes from."""
    size, num = 64, 300
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    pixels = np.tile(np.stack([columns, rows, 0 * rows], axis=-1), (num, 1, 1, 1))
    cropped = geometry.crop(tf.constant(pixels), seeds_of_batch(0, 0, num), min_fraction).numpy()
    across = cropped[:, size // 2, :, 0]
    down = cropped[:, :, size // 2, 1]
    width = (across[:, -2] - across[:, 1]) / (size - 3)  # without the ends, where the border's pixels are repeated
    height = (down[:, -2] - down[:, 1]) / (size - 3)
    area, ratio = width * height, width / height
    assert area.min() >= min_fraction - 1e-3
    assert area.max() <= 1 + 1e-3
    assert abs(area.mean() - (1 + min_fraction) / 2) < 0.05
    assert ratio.min() >= 3 / 4 - 1e-3
    assert ratio.max() <= 4 / 3 + 1e-3
    # Half a pixel of a crop at the border lies beyond the outermost centres.
    left, top = across[:, 1] - 1.5 * width + 0.5, down[:, 1] - 1.5 * height + 0.5
    assert left.min() > -0.01
    assert top.min() > -0.01
    assert (left + width * size).max() < size + 0.01
    assert (top + height * size).max() < size + 0.01
    if min_fraction < 0.1:  # all of the image is used
        assert left.min() < 4
        assert (left + width * size).max() > size - 4


def test_a_crop_is_enlarged_as_pillow_enlarges_it(photographs: Batch) -> None:
    cropped = vary(photographs, min_crop_fraction=0.1).pixels
    height, width = (share.numpy() for share in geometry.crop_shares(photographs.seeds, 0.1))
    top = draws.uniform(photographs.seeds, "crop top", 0.0, 1.0 - height).numpy()
    left = draws.uniform(photographs.seeds, "crop left", 0.0, 1.0 - width).numpy()
    boxes = np.stack([left, top, left + width, top + height], axis=1) * SIZE_PX
    for image, ours, box in zip(photographs.pixels, cropped, boxes, strict=True):
        expected = Image.fromarray(image).resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR, box=tuple(box))
        assert np.abs(ours - np.asarray(expected))[1:-1, 1:-1].max() < 2  # Pillow rounds twice


def test_erasing_puts_a_rectangle_of_noise_into_the_stated_share(photographs: Batch) -> None:
    many = photographs.repeated(30)
    varied = vary(many, erasing_probability=0.25).pixels
    changed = (varied != many.pixels).any(axis=-1)
    is_erased = changed.any(axis=(1, 2))
    assert 0.19 < is_erased.mean() < 0.31
    areas = []
    for image, mask in zip(varied[is_erased], changed[is_erased], strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.99  # noise is rarely what was there
        areas.append(box.size / mask.size)
        noise = image[mask]
        np.testing.assert_array_equal(noise, np.rint(noise))
        assert abs(noise.mean() - 127.5) < 15
    assert min(areas) > 0.015
    assert max(areas) < 0.34
    assert max(areas) > 0.25


def test_colour_leaves_shape_and_moves_brightness_contrast_and_saturation(photographs: Batch) -> None:
    many = photographs.repeated(10)
    ratios = vary(many, colour_strength=0.2).pixels.mean(axis=(1, 2, 3)) / many.pixels.mean(axis=(1, 2, 3))
    assert 0.75 < ratios.min() < 0.9
    assert 1.05 < ratios.max() < 1.25
    grey = photographs.in_grey()
    np.testing.assert_allclose(np.ptp(vary(grey, colour_strength=0.5).pixels, axis=-1), 0, atol=1e-3)


@each_mixed
def test_mixed_labels_are_the_shares_of_the_mixed_images(keys: dict) -> None:
    """Images of one value each: what is in a mixed one can be read off its pixels."""
    num, size = 64, 40
    values = np.arange(num, dtype=np.uint8) * 4
    batch = Batch(
        np.broadcast_to(values[:, None, None, None], (num, size, size, 3)),
        np.eye(num, dtype=np.float32),
        np.ones(num, np.float32),
        seeds_of_batch(0, 3, num),
    )
    varied = vary(batch, **keys)
    np.testing.assert_allclose(varied.labels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(varied.pixels.mean(axis=(1, 2, 3)), varied.labels @ values.astype(np.float32), atol=2e-3)
    shares_of_others = 1 - np.diag(varied.labels)
    assert 0.2 < shares_of_others.mean() < 0.6
    assert ((varied.labels > 0).sum(axis=1) <= 2).all()
    if "cut_mix_alpha" in keys:
        assert np.isin(varied.pixels, values).all()


@each_mixed
def test_every_real_example_is_mixed_into_one_other_and_padding_into_none(keys: dict) -> None:
    num, num_real = 32, 21
    batch = Batch(
        np.zeros((num, 8, 8, 3), np.uint8),
        np.eye(num, dtype=np.float32),
        np.ones(num, np.float32),
        seeds_of_batch(5, 0, num),
    ).padded_from(num_real)
    labels = vary(batch, **keys).labels
    assert (labels[:num_real, num_real:] == 0).all()
    others = labels - np.diag(np.diag(labels))
    assert ((others > 0).sum(axis=0)[:num_real] <= 1).all()


def test_partners_are_one_circle_of_the_real_examples() -> None:
    from trainer.augmentation.mixing import partners_of

    is_real = np.arange(20) % 3 != 0
    partners = partners_of(tf.constant(is_real), seeds_of_batch(0, 0, 20)).numpy()
    np.testing.assert_array_equal(partners[~is_real], np.flatnonzero(~is_real))
    start = place = int(np.flatnonzero(is_real)[0])
    seen = []
    while not seen or place != start:
        seen.append(place)
        place = int(partners[place])
    assert sorted(seen) == list(np.flatnonzero(is_real))


def test_one_real_example_alone_is_mixed_with_itself(digit_batch: Batch) -> None:
    alone = digit_batch.padded_from(1)
    varied = vary(alone, mix_up_alpha=1.0, cut_mix_alpha=1.0)
    np.testing.assert_allclose(varied.pixels, alone.pixels, atol=1e-4)
    np.testing.assert_allclose(varied.labels, alone.labels, atol=1e-6)


def test_with_both_kinds_of_mixing_a_batch_takes_one_of_them(digit_batch: Batch) -> None:
    num_pasted, num_steps = 0, 60
    kept = np.unique(digit_batch.pixels)
    for step in range(num_steps):
        batch = digit_batch.with_seeds(seeds_of_batch(0, step, len(digit_batch.pixels)))
        pixels = vary(batch, mix_up_alpha=1.0, cut_mix_alpha=1.0).pixels
        one_of_them = [vary(batch, **keys).pixels for keys in ({"mix_up_alpha": 1.0}, {"cut_mix_alpha": 1.0})]
        assert any(np.array_equal(pixels, alternative) for alternative in one_of_them)
        num_pasted += np.isin(pixels, kept).all()
    assert 0.3 < num_pasted / num_steps < 0.7


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0])
def test_shares_of_mixing_have_the_beta_distribution(alpha: float) -> None:
    from scipy import stats

    from trainer.augmentation.mixing import beta

    quantiles = (np.arange(2000) + 0.5) / 2000
    values = beta(tf.constant(quantiles, tf.float32), alpha).numpy()
    np.testing.assert_allclose(values, stats.beta(alpha, alpha).ppf(quantiles), atol=3e-5)


def test_numbers_are_uniform_and_independent_between_examples_purposes_and_steps() -> None:
    from scipy import stats

    num = 20_000
    first = draws.uniform(seeds_of_batch(0, 0, num), "a").numpy()
    assert first.min() >= 0
    assert first.max() < 1
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    others = (
        draws.uniform(seeds_of_batch(0, 0, num), "b").numpy(),
        draws.uniform(seeds_of_batch(0, 1, num), "a").numpy(),
        draws.uniform(seeds_of_batch(1, 0, num), "a").numpy(),
        np.roll(first, 1),
    )
    for other in others:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


def test_noise_is_uniform_and_its_pixels_are_independent() -> None:
    from scipy import stats

    field = draws.noise(seeds_of_batch(0, 0, 2), "noise", 100, 90).numpy()
    assert field.shape == (2, 100, 90, 3)
    assert stats.kstest(field.ravel(), "uniform").pvalue > 1e-3
    for one, other in (
        (field[0], field[1]),
        (field[:, 1:], field[:, :-1]),
        (field[:, :, 1:], field[:, :, :-1]),
        (field[..., 0], field[..., 1]),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("seeds", [[2**31 - 1, -(2**31)], [-1, 2**31 - 1], [0, 0]])
def test_any_seed_will_do(seeds: list[int]) -> None:
    numbers = [draws.uniform(tf.constant([seeds], tf.int32), str(purpose)).numpy()[0] for purpose in range(50)]
    assert 0.3 < np.mean(numbers) < 0.7


@pytest.mark.slow
def test_another_process_that_allows_only_deterministic_operations_gives_the_same_bytes(photographs: Batch) -> None:
    with_determinism = (
        "import tensorflow as tf; tf.config.experimental.enable_op_determinism(); "
        "import varied; print(varied.digest_of_all(varied.photograph_batch()))"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    result = subprocess.run(
        [sys.executable, "-c", with_determinism],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    varied = vary(photographs, **all_of_it())
    assert result.stdout.split()[-1] == hashlib.sha256(varied.pixels.tobytes() + varied.labels.tobytes()).hexdigest()


def test_all_of_it_together_learns_from_the_graph_of_one_function(photographs: Batch) -> None:
    """One trace serves every batch of a size, and a gradient of a model beyond it is not stopped by it."""
    from trainer.augmentation import augment

    settings = AugmentationSettings(**all_of_it())
    kernel = tf.Variable(tf.random.stateless_normal([3, 2], [0, 0]))

    @tf.function
    def gradient(pixels: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            images, soft = augment(settings, pixels, labels, weights, seeds)
            logits = tf.reduce_mean(images / 255, axis=[1, 2]) @ kernel
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(soft, logits))
        return tape.gradient(loss, kernel)

    for step in range(3):
        batch = photographs.with_seeds(seeds_of_batch(0, step, len(photographs.pixels)))
        assert np.abs(gradient(*batch.tensors()).numpy()).max() > 0
    assert gradient.experimental_get_tracing_count() == 1
