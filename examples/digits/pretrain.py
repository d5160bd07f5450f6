"""Makes the pretrained weights of this example's backbone again, from the digits that are not its classes.

    python -m examples.digits.pretrain [FILE]

A run takes half a minute on two processor cores. The same machine and the same packages give the same bytes; another
processor may round differently, and then the new digest goes into the `.sha256` file and into the configurations.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.digits.make_images import PRETRAINING_DIGITS, photograph_files

WEIGHTS_FILE = Path(__file__).with_name("small_cnn.weights.h5")
IMAGE_SIZE_PX = 32
SEED = 1
EPOCHS = 10
BATCH_SIZE = 32
LEARNING_RATE = 2e-3


def pretrain(path: Path) -> str:
    """Trains the backbone to tell the pretraining digits apart, and saves it without its head.

    Args:
        path: file to write; its name must end in ".weights.h5".

    Returns:
        The sha256 of the file, in hex digits; it is also written to `path` with ".sha256" appended.
    """
    import keras
    import tensorflow as tf

    from trainer.small_cnn import small_cnn

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(SEED)
    images, labels = pretraining_data()
    backbone = small_cnn(IMAGE_SIZE_PX)
    classifier = _with_head(backbone, len(PRETRAINING_DIGITS))
    classifier.fit(images, labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=2)
    backbone.save_weights(path)
    return write_sha256(path)


def pretraining_data() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns images float32 [901, 32, 32, 3] in 0..1 and labels int64 [901], prepared as the pipeline does it."""
    from trainer.images import decode_and_resize

    images, labels = [], []
    for label, digit in enumerate(PRETRAINING_DIGITS):
        for _, encoded in photograph_files([digit]):
            images.append(decode_and_resize(encoded, IMAGE_SIZE_PX).numpy())
            labels.append(label)
    return np.stack(images).astype(np.float32) / np.float32(255), np.array(labels, np.int64)


def _with_head(backbone: Any, num_classes: int) -> Any:
    import keras

    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    head = keras.layers.Dense(num_classes, activation="softmax")
    classifier = keras.Model(backbone.input, head(keras.layers.Dropout(0.2)(pooled)))
    classifier.compile(keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return classifier


def write_sha256(path: Path) -> str:
    """Writes `path` with ".sha256" appended, in the format of `sha256sum`, and returns the hex digest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")
    return digest


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes the weights of the digits example's backbone again.")
    parser.add_argument("file", type=Path, nargs="?", default=WEIGHTS_FILE, help="weights file to write")
    path = parser.parse_args().file
    print(f"{pretrain(path)}  {path}")


if __name__ == "__main__":
    main()
