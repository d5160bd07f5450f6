"""Tiny real data; `tiny` has the settings that train on it in seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from cached import computed, on_images, store
from deaths import die_at
from tiny import IMAGE_SIZE_PX
from varied import Batch, digit_batch_of, photograph_batch

from trainer.datasets import Split, open_split
from trainer.training import TrainingData

__all__ = ["computed", "die_at", "on_images", "store"]

NUM_TRAIN, NUM_EVAL = 52, 23

WriteSplit = Callable[[Path, Sequence[int]], Split]


@pytest.fixture(scope="session", autouse=True)
def _devices(logical_cpus: int) -> None:
    """Every test here may use two replicas."""


@pytest.fixture(scope="session")
def write_split(digits: tuple[np.ndarray, np.ndarray]) -> WriteSplit:
    """Writes the digits of the given numbers as transformed examples, in two files where there are enough."""
    import tensorflow as tf

    from trainer.images import pack

    def write(folder: Path, numbers: Sequence[int]) -> Split:
        folder.mkdir(parents=True)
        pixels, labels = digits
        for part, chosen in enumerate(np.array_split(np.asarray(numbers), 1 if len(numbers) < 10 else 2)):
            with tf.io.TFRecordWriter(str(folder / f"images-{part}")) as writer:
                for number in chosen:
                    packed = pack(tf.constant(pixels[number])).numpy()
                    features = {
                        "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[packed])),
                        "label_id": tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[number]])),
                    }
                    example = tf.train.Example(features=tf.train.Features(feature=features))
                    writer.write(example.SerializeToString())
        return open_split(str(folder), IMAGE_SIZE_PX)

    return write


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory, write_split: WriteSplit) -> TrainingData:
    """52 digits to train on and 23 to evaluate on: neither fills its last batch of 16."""
    folder = tmp_path_factory.mktemp("examples")
    return TrainingData(
        train=write_split(folder / "train", range(NUM_TRAIN)),
        eval=write_split(folder / "eval", range(NUM_TRAIN, NUM_TRAIN + NUM_EVAL)),
        num_classes=3,
    )


@pytest.fixture(scope="session")
def train_digits(digits: tuple[np.ndarray, np.ndarray], training_data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """What the training split was written from."""
    return tuple(values[: training_data.train.num_examples] for values in digits)


@pytest.fixture(scope="session")
def eval_digits(digits: tuple[np.ndarray, np.ndarray], training_data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    first = training_data.train.num_examples
    return tuple(values[first : first + training_data.eval.num_examples] for values in digits)


@pytest.fixture(scope="module", name="photographs")
def _photographs() -> Batch:
    """Real photographs, with the labels, weights and seeds of a batch."""
    return photograph_batch()


@pytest.fixture(scope="module", name="digit_batch")
def _digit_batch(digits: tuple[np.ndarray, np.ndarray]) -> Batch:
    """The same of the digits."""
    return digit_batch_of(*digits)
