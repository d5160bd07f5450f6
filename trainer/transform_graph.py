"""Reads the folder that tf.Transform leaves: the preprocessing graph and the label vocabulary.

TensorFlow alone is enough for it, which keeps tf.Transform and Beam out of training and of the exported model.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from trainer.features import IMAGE, LABEL, LABEL_VOCABULARY, PIXELS

Features = Mapping[str, tf.Tensor]


def load_transform(transform_graph: str) -> Callable[[Features], Features]:
    """Loads the preprocessing graph.

    Args:
        transform_graph: folder of a TransformGraph artifact.

    Returns:
        A function from raw features ("image", "label": string [batch]) to transformed ones ("pixels": string [batch],
        "label_id": int64 [batch]). It keeps the loaded object alive.
    """
    loaded = load_saved_transform(transform_graph)

    def transform(features: Features) -> Features:
        outputs: Features = loaded.transform_fn(dict(features))
        return outputs

    return transform


def load_saved_transform(transform_graph: str) -> Any:
    """The trackable object of the graph; an exported model that uses it must hold it, or its tables are empty."""
    return tf.saved_model.load(os.path.join(transform_graph, "transform_fn"))


def pixels_of(saved_transform: Any, encoded_images: tf.Tensor) -> tf.Tensor:
    """Packed pixels, string [batch], of encoded images, string [batch], by the same graph as in training."""
    features = {IMAGE: encoded_images, LABEL: tf.fill(tf.shape(encoded_images), "")}
    return saved_transform.transform_fn(features)[PIXELS]


def read_labels(transform_graph: str) -> tuple[str, ...]:
    """The classes, in the order of their ids.

    Raises:
        FileNotFoundError: the folder holds no vocabulary.
    """
    path = vocabulary_path(transform_graph)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return tuple(line.removesuffix("\n") for line in file)


def vocabulary_path(transform_graph: str) -> str:
    """Path of the text file that lists the classes, a line each."""
    return os.path.join(transform_graph, "transform_fn", "assets", LABEL_VOCABULARY)
