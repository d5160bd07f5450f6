"""The data of `benchmarks.frozen`: photographs whose tint tells their class, as files and as training data."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.frozen_plan import BACKBONE, NUM_CLASSES, NUM_EVALUATED_OF_100, SEED
from benchmarks.photographs import JPEG_QUALITY, load_sources, photograph, photographs_folder

# What one of the three colours is multiplied with, which one by the class.
_TINT = 0.6
_NUM_FOR_STATISTICS = 128


def tinted_folder(num_photographs: int) -> Path:
    """`benchmarks.photographs.photographs_folder`, with something to learn; made unless an earlier call has."""
    folder = photographs_folder(num_photographs).with_name(f"tinted-{num_photographs}")
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    sources = load_sources()
    for number in range(num_photographs):
        label = number % NUM_CLASSES
        path = partial / f"class_{label}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.array(photograph(sources, number))
        pixels[..., label] = (pixels[..., label] * _TINT).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)
    partial.rename(folder)
    return folder


def backbone_weights(photographs: Path, image_size_px: int) -> Path:
    """A file of weights for the backbone that a head can learn from; made unless an earlier call has.

    Nothing pretrained can be loaded here. Kernels are random, seeded; the batch normalisations have the statistics of
    some of the photographs, without which activations shrink from layer to layer, until no class can be told.
    """
    import keras
    import tensorflow as tf

    path = photographs.with_name(f"{BACKBONE}-{SEED}-{photographs.name}-{image_size_px}px.weights.h5")
    if path.is_file():
        return path
    keras.utils.set_random_seed(SEED)
    shape = (image_size_px, image_size_px, 3)
    backbone = getattr(keras.applications, BACKBONE)(include_top=False, weights=None, input_shape=shape)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the statistics of the one batch that follows
    files = sorted(photographs.glob("*/*.jpg"), key=lambda file: file.name)[:_NUM_FOR_STATISTICS]
    images = [tf.io.decode_jpeg(tf.io.read_file(str(file)), channels=3) for file in files]
    pixels = tf.stack([tf.image.resize(image, shape[:2], antialias=True) for image in images])
    backbone(pixels / 127.5 - 1.0, training=True)
    partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
    backbone.save_weights(partial)
    partial.rename(path)
    return path


def files_of(photographs: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Paths and labels to train on and to evaluate on: every hundred files in a row are divided alike."""
    found = sorted(photographs.glob("*/*.jpg"), key=lambda path: path.name)
    labelled = [(str(path), int(path.parent.name.removeprefix("class_"))) for path in found]
    is_evaluated = [number % 100 < NUM_EVALUATED_OF_100 for number in range(len(labelled))]
    train = [each for each, is_it in zip(labelled, is_evaluated, strict=True) if not is_it]
    return train, [each for each, is_it in zip(labelled, is_evaluated, strict=True) if is_it]


def write_training_data(photographs: Path, image_size_px: int, folder: Path) -> dict[str, int]:
    """Decodes, resizes and writes both splits as Transform would; returns their sizes."""
    import tensorflow as tf

    from trainer.own_data import read_split, write_split

    def decoded(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.decode_jpeg(tf.io.read_file(path), channels=3), label

    sizes = {}
    for name, files in zip(("train", "eval"), files_of(photographs), strict=True):
        paths, labels = zip(*files, strict=True)
        examples = tf.data.Dataset.from_tensor_slices((list(paths), list(labels))).map(decoded)
        names = [str(number) for number in range(NUM_CLASSES)]
        sizes[name] = write_split(read_split(name, examples), names, image_size_px, folder / name).num_examples
    return sizes


def open_training_data(folder: str, image_size_px: int) -> Any:
    """What `write_training_data` wrote, as `trainer.training.TrainingData`."""
    from trainer.datasets import open_split
    from trainer.training import TrainingData

    train, evaluated = (open_split(f"{folder}/{name}", image_size_px) for name in ("train", "eval"))
    return TrainingData(train, evaluated, NUM_CLASSES)
