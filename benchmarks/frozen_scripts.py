"""Two-phase fine-tuning as Keras's guide to transfer learning has it, on a dataset; and the datasets of its scripts."""

from collections.abc import Sequence
from typing import Any

from benchmarks.frozen_plan import BACKBONE, NUM_CLASSES


def jpeg_batches(files: Sequence[tuple[str, int]], case: dict[str, Any], is_shuffled: bool) -> Any:
    """Batches of (float32 [batch, size, size, 3] in 0..255, label), read and decoded in every epoch, or cached."""
    import tensorflow as tf

    size = case["image_size_px"]

    def read(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(pixels, [size, size], antialias=True), label

    paths, labels = zip(*files, strict=True)
    dataset = tf.data.Dataset.from_tensor_slices((list(paths), list(labels)))
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    if case["is_cached"]:
        dataset = dataset.cache()
    if is_shuffled:
        dataset = dataset.shuffle(10 * case["batch_size"])
    return dataset.batch(case["batch_size"]).prefetch(tf.data.AUTOTUNE)


def two_phases(train: Any, evaluated: Any, case: dict[str, Any], is_scaled: bool) -> tuple[Any, float]:
    """A head on the frozen backbone, then the last blocks unfrozen at a lower rate.

    Args:
        train: batches of (pixels, label id).
        evaluated: likewise.
        case: "image_size_px", the file of "weights", "num_epochs" of each phase, the "boundary" block of the second.
        is_scaled: pixels are from -1 to 1 already.

    Returns:
        The model, and its accuracy on `evaluated`.
    """
    import keras

    size = case["image_size_px"]
    backbone = getattr(keras.applications, BACKBONE)(include_top=False, weights=None, input_shape=(size, size, 3))
    backbone.load_weights(case["weights"])
    backbone.trainable = False
    inputs = keras.Input((size, size, 3))
    scaled = inputs if is_scaled else keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(scaled, training=False))
    model = keras.Model(inputs, keras.layers.Dense(NUM_CLASSES)(keras.layers.Dropout(0.2)(pooled)))
    _fit(model, train, evaluated, case, learning_rate=1e-3)
    backbone.trainable = True
    names = [layer.name for layer in backbone.layers]
    for layer in backbone.layers[: names.index(f"{case['boundary']}_expand")]:
        layer.trainable = False
    return model, _fit(model, train, evaluated, case, learning_rate=1e-5)


def _fit(model: Any, train: Any, evaluated: Any, case: dict[str, Any], learning_rate: float) -> float:
    import keras

    model.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = model.fit(train, validation_data=evaluated, epochs=case["num_epochs"], verbose=0)
    return float(history.history["val_accuracy"][-1])
