"""The graph that tf.Transform writes does to an image what `trainer.images` does."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.images import decode_and_resize, unpack
from trainer.transform_graph import load_saved_transform, load_transform, pixels_of, read_labels

pytestmark = pytest.mark.slow

SIZE_PX = 8


def test_the_graph_decodes_and_resizes_as_the_functions_do(
    transform_graph: Path, digit_files: list[tuple[bytes, str]]
) -> None:
    contents = [content for content, _ in digit_files]
    packed = pixels_of(load_saved_transform(str(transform_graph)), tf.constant(contents))
    for content, one in zip(contents, packed, strict=True):
        np.testing.assert_array_equal(unpack(one, SIZE_PX), decode_and_resize(tf.constant(content), SIZE_PX))


def test_label_ids_are_ranks_in_the_vocabulary_and_unknown_labels_are_minus_one(
    transform_graph: Path, digit_files: list[tuple[bytes, str]]
) -> None:
    labels = read_labels(str(transform_graph))
    assert set(labels) == {label for _, label in digit_files}
    counts = [sum(label == found for _, found in digit_files) for label in labels]
    assert counts == sorted(counts, reverse=True)
    content = digit_files[0][0]
    names = [*labels, "never seen"]
    transformed = load_transform(str(transform_graph))(
        {"image": tf.constant([content] * len(names)), "label": tf.constant(names)}
    )
    assert transformed["label_id"].numpy().tolist() == [*range(len(labels)), -1]


def test_transformed_examples_hold_a_byte_per_value(
    transform_graph: Path, digit_files: list[tuple[bytes, str]]
) -> None:
    packed = pixels_of(load_saved_transform(str(transform_graph)), tf.constant([digit_files[0][0]]))
    assert packed.dtype == tf.string
    assert len(packed.numpy()[0]) < SIZE_PX * SIZE_PX * 3 + 100
