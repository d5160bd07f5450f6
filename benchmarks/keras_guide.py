"""Fine-tuning as Keras's guide has it, with no part of thaw's training: what a newcomer would write.

https://keras.io/guides/transfer_learning, the end-to-end example: random flips and rotations, the backbone frozen and
called with `training=False`, pooling, Dropout of 0.2, a head trained with Adam; then everything unfrozen at 1e-5. Only
the numbers of epochs are the benchmark's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
_BATCH_SIZE = 32


def train(
    backbone: Any,
    num_classes: int,
    examples: Arrays,
    epochs: tuple[int, int],
    rates: tuple[float, float],
    with_augmentation: bool,
) -> Any:
    """Trains a head on the frozen backbone, then all of it.

    Args:
        backbone: from images scaled to 0..1 to features [batch, height, width, channels], pretrained.
        num_classes: how many there are.
        examples: images uint8 [examples, size, size, 3] and label ids int64 [examples].
        epochs: with the backbone frozen, and unfrozen.
        rates: likewise.
        with_augmentation: whether images are flipped and turned.

    Returns:
        The model, from images in 0..255 to logits.
    """
    import keras
    from keras import layers

    backbone.trainable = False
    size = backbone.input_shape[1]
    inputs = keras.Input((size, size, 3))
    varied = inputs
    if with_augmentation:
        varied = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    features = backbone(layers.Rescaling(1 / 255)(varied), training=False)
    pooled = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(features))
    model = keras.Model(inputs, layers.Dense(num_classes)(pooled))
    _fit(model, examples, epochs[0], rates[0])
    backbone.trainable = True
    _fit(model, examples, epochs[1], rates[1])
    return model


def _fit(model: Any, examples: Arrays, epochs: int, rate: float) -> None:
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(*examples, batch_size=_BATCH_SIZE, epochs=epochs, verbose=0)
