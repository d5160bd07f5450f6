"""Every example once per epoch, in full batches; what fills the last one up counts for nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.datasets import Split, evaluation_batches, label_counts, open_split, training_batches
from trainer.errors import ThawError
from trainer.training import TrainingData

BATCH_SIZE = 16


def real_examples(batches: tf.data.Dataset) -> list[tuple[bytes, int]]:
    """(pixels, label) of what has a weight, in order."""
    return [
        (pixels.tobytes(), int(label))
        for inputs, labels, weights in batches.as_numpy_iterator()
        for pixels, label, weight in zip(inputs["pixels"], labels, weights, strict=True)
        if weight
    ]


@pytest.fixture(scope="module")
def split(training_data: TrainingData) -> Split:
    return training_data.train


@pytest.fixture(scope="module")
def expected(digits: tuple[np.ndarray, np.ndarray], split: Split) -> list[tuple[bytes, int]]:
    pixels, labels = digits
    return [(pixels[number].tobytes(), int(labels[number])) for number in range(split.num_examples)]


def test_evaluation_gives_each_example_once_in_the_order_of_the_files(
    split: Split, expected: list[tuple[bytes, int]]
) -> None:
    assert real_examples(evaluation_batches(split, BATCH_SIZE)) == expected


def epochs(split: Split, seed: int) -> list[list[tuple[bytes, int]]]:
    """The real examples of each of three epochs, in their order."""
    batches = training_batches(split, BATCH_SIZE, seed, num_epochs=3)
    per_epoch = split.num_batches(BATCH_SIZE)
    return [real_examples(batches.skip(number * per_epoch).take(per_epoch)) for number in range(3)]


def test_each_training_epoch_gives_each_example_once(split: Split, expected: list[tuple[bytes, int]]) -> None:
    for epoch in epochs(split, seed=1):
        assert sorted(epoch) == sorted(expected)


def test_training_order_differs_between_epochs_and_follows_from_the_seed(split: Split) -> None:
    first = epochs(split, seed=1)
    assert first[0] != first[1] != first[2] != first[0]
    assert epochs(split, seed=1) == first
    assert not any(epoch in first for epoch in epochs(split, seed=2))


def test_training_order_does_not_depend_on_what_was_looked_at_before(split: Split) -> None:
    """Keras looks at a batch before it trains under a strategy: once more for several replicas than for one."""
    batches = training_batches(split, BATCH_SIZE, seed=1, num_epochs=2)
    first = real_examples(batches)
    next(iter(batches))
    assert real_examples(batches) == first


@pytest.mark.parametrize("global_seed", [0, 2**31 - 1, 7])
def test_training_order_does_not_depend_on_the_global_seed(split: Split, global_seed: int) -> None:
    """A global seed of 0, or one that TensorFlow truncates to 0, once made `shuffle` fail."""
    first = epochs(split, seed=1)
    tf.random.set_seed(global_seed)
    assert epochs(split, seed=1) == first


def test_all_batches_are_full_and_padding_has_weight_zero(split: Split) -> None:
    batches = list(evaluation_batches(split, BATCH_SIZE).as_numpy_iterator())
    assert len(batches) == split.num_batches(BATCH_SIZE) == 4
    for inputs, labels, weights in batches:
        assert inputs["pixels"].shape == (BATCH_SIZE, 8, 8, 3)
        assert inputs["pixels"].dtype == np.uint8
        assert labels.shape == weights.shape == (BATCH_SIZE,)
    np.testing.assert_array_equal(batches[-1][2], [1.0] * 4 + [0.0] * 12)


def test_a_split_that_fills_its_batches_has_no_padding(split: Split) -> None:
    weights = [weights for _, _, weights in evaluation_batches(split, 26).as_numpy_iterator()]
    np.testing.assert_array_equal(weights, np.ones((2, 26)))


def test_what_real_examples_count_in_the_loss_adds_up_to_one_in_each_batch(split: Split) -> None:
    for inputs, _, weights in evaluation_batches(split, BATCH_SIZE).as_numpy_iterator():
        np.testing.assert_allclose(inputs["loss_share"], weights / weights.sum())
        assert inputs["loss_share"].sum() == pytest.approx(1)


def test_positions_count_the_examples_of_the_phase(split: Split) -> None:
    batches = training_batches(split, BATCH_SIZE, seed=1, num_epochs=2)
    positions = [inputs["position"] for inputs, _, _ in batches.as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(positions), np.arange(2 * 4 * BATCH_SIZE))


@pytest.mark.parametrize("first_step", range(9))
def test_training_that_goes_on_sees_what_it_would_have_seen(split: Split, first_step: int) -> None:
    whole = list(training_batches(split, BATCH_SIZE, seed=1, num_epochs=2).as_numpy_iterator())
    rest = list(training_batches(split, BATCH_SIZE, 1, 2, first_step).as_numpy_iterator())
    assert len(rest) == len(whole) - first_step
    for expected, found in zip(whole[first_step:], rest, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, expected, found)


def test_examples_are_counted_by_class(split: Split, digits: tuple[np.ndarray, np.ndarray]) -> None:
    labels = digits[1][: split.num_examples]
    assert label_counts(split, 4) == np.bincount(labels, minlength=4).tolist()


def test_a_folder_without_examples_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=f"no examples in '{tmp_path}'"):
        open_split(str(tmp_path), 8)
    with tf.io.TFRecordWriter(str(tmp_path / "images-0")):
        pass
    with pytest.raises(ThawError, match=f"no examples in '{tmp_path}'"):
        open_split(str(tmp_path), 8)


def test_examples_of_another_image_size_are_not_read_as_if_they_fitted(split: Split) -> None:
    wrong = Split(split.files, split.num_examples, image_size_px=16)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(evaluation_batches(wrong, BATCH_SIZE))


def weighted(folder: Path, split: Split, weights: Sequence[float]) -> Split:
    """The examples of a split with weights."""
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "images-0")) as writer:
        records = tf.data.TFRecordDataset(split.files).as_numpy_iterator()
        for record, weight in zip(records, weights, strict=True):
            example = tf.train.Example.FromString(record)
            example.features.feature["weight"].float_list.value.append(weight)
            writer.write(example.SerializeToString())
    return open_split(str(folder), split.image_size_px)


def test_an_example_counts_by_its_weight_over_the_epoch_whatever_batch_it_is_in(split: Split, tmp_path: Path) -> None:
    weights = np.arange(split.num_examples) % 4
    found = weighted(tmp_path / "weighted", split, weights.tolist())
    assert found.mean_weight == pytest.approx(weights.mean())
    batches = list(evaluation_batches(found, 13).as_numpy_iterator())
    shares = np.concatenate([inputs["loss_share"] for inputs, _, _ in batches])
    np.testing.assert_allclose(shares * 13 * weights.mean(), weights, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([batch[2] for batch in batches]), weights)


def test_to_double_all_weights_changes_no_share(split: Split, tmp_path: Path) -> None:
    weights = np.arange(split.num_examples) % 4
    once, twice = (weighted(tmp_path / str(factor), split, (weights * factor).tolist()) for factor in (1, 2))
    for (found, _, _), (expected, _, _) in zip(
        evaluation_batches(once, BATCH_SIZE).as_numpy_iterator(),
        evaluation_batches(twice, BATCH_SIZE).as_numpy_iterator(),
        strict=True,
    ):
        np.testing.assert_allclose(found["loss_share"], expected["loss_share"], rtol=1e-6)


def test_classes_are_counted_by_weight(split: Split, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    weights = np.arange(split.num_examples) / 8
    expected = np.bincount(digits[1][: split.num_examples], weights, minlength=3)
    np.testing.assert_allclose(label_counts(weighted(tmp_path / "weighted", split, weights.tolist()), 3), expected)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(-1.0, "1 examples of .* negative or no number, such as -1"), (float("nan"), "such as nan"), (0.0, "weight 0")],
)
def test_weights_that_cannot_be_right_are_refused(wrong: float, words: str, split: Split, tmp_path: Path) -> None:
    rest = 0.0 if wrong == 0 else 1.0
    with pytest.raises(ThawError, match=words):
        weighted(tmp_path / "weighted", split, [*[rest] * (split.num_examples - 1), wrong])
