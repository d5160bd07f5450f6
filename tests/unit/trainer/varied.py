"""Batches of real images for the tests of augmentation, and the way to vary them."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.augmentation import augment
from trainer.augmentation_settings import AugmentationSettings, RandAugmentSettings

NUM_IMAGES, SIZE_PX = 10, 64


def seeds_of_batch(seed: int, step: int, num_examples: int) -> tf.Tensor:
    """As a phase has them: the seed, and the example's position in all of the phase."""
    return tf.stack([tf.fill([num_examples], seed), tf.range(num_examples) + step * num_examples], axis=1)


@dataclass(frozen=True)
class Batch:
    """Pixels [batch, height, width, 3], labels [batch, classes], weights [batch], seeds [batch, 2]."""

    pixels: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    seeds: tf.Tensor

    def tensors(self) -> tuple[tf.Tensor, ...]:
        return tuple(tf.constant(values) for values in (self.pixels, self.labels, self.weights, self.seeds))

    def __getitem__(self, chosen: slice) -> "Batch":
        return Batch(self.pixels[chosen], self.labels[chosen], self.weights[chosen], np.asarray(self.seeds)[chosen])

    def with_seeds(self, seeds: tf.Tensor) -> "Batch":
        return dataclasses.replace(self, seeds=seeds)

    def padded_from(self, place: int) -> "Batch":
        """With the examples from a place on as padding."""
        return dataclasses.replace(self, weights=(np.arange(len(self.weights)) < place).astype(np.float32))

    def repeated(self, times: int) -> "Batch":
        """Each image that often, each time with another seed."""
        pixels, labels, weights = (
            np.concatenate([values] * times) for values in (self.pixels, self.labels, self.weights)
        )
        return Batch(pixels, labels, weights, seeds_of_batch(0, 0, len(pixels)))

    def in_grey(self) -> "Batch":
        return dataclasses.replace(self, pixels=np.repeat(self.pixels[..., :1], 3, axis=-1))


def photograph_batch() -> Batch:
    """Parts of scikit-learn's two photographs."""
    from sklearn.datasets import load_sample_images

    parts = []
    for number in range(NUM_IMAGES):
        top, left = 10 * number, 30 * number
        image = load_sample_images().images[number % 2][top : top + 3 * SIZE_PX : 3, left : left + 3 * SIZE_PX : 3]
        parts.append(image)
    labels = np.eye(2, dtype=np.float32)[np.arange(NUM_IMAGES) % 2]
    return Batch(np.stack(parts), labels, np.ones(NUM_IMAGES, np.float32), seeds_of_batch(0, 0, NUM_IMAGES))


def digit_batch_of(pixels: np.ndarray, label_ids: np.ndarray) -> Batch:
    """The first of some digits."""
    labels = np.eye(3, dtype=np.float32)[label_ids[:NUM_IMAGES]]
    return Batch(pixels[:NUM_IMAGES], labels, np.ones(NUM_IMAGES, np.float32), seeds_of_batch(0, 0, NUM_IMAGES))


def all_of_it() -> dict[str, Any]:
    """Every key of the settings."""
    return {
        "horizontal_flip": True,
        "vertical_flip": True,
        "min_crop_fraction": 0.3,
        "colour_strength": 0.4,
        "rand_augment": RandAugmentSettings(num_operations=4, magnitude=0.7),
        "erasing_probability": 0.5,
        "mix_up_alpha": 0.2,
        "cut_mix_alpha": 1.0,
    }


def vary(batch: Batch, **keys: Any) -> Batch:
    """The batch as the settings with these keys vary it, in a graph."""
    pixels, labels = _graph_of(AugmentationSettings(**keys))(*batch.tensors())
    return dataclasses.replace(batch, pixels=pixels.numpy(), labels=labels.numpy())


@functools.cache
def _graph_of(settings: AugmentationSettings) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    return tf.function(lambda *tensors: augment(settings, *tensors))


def digest_of_all(batch: Batch) -> str:
    varied = vary(batch, **all_of_it())
    return hashlib.sha256(varied.pixels.tobytes() + varied.labels.tobytes()).hexdigest()
