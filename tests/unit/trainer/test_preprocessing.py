"""The graph that tf.Transform writes does to an image what `trainer.images` does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image
from tiny import settings

from benchmarks import zoo
from trainer.classifier import build_classifier
from trainer.export import export
from trainer.images import decode_and_resize, unpack
from trainer.serving import predict
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


def test_scaled_decoding_reaches_training_and_the_served_model_and_leaves_small_photographs_alone(
    transform_graph: Path,
    make_transform_graph: Callable[..., Path],
    digit_files: list[tuple[bytes, str]],
    tmp_path: Path,
) -> None:
    photograph = Image.fromarray(load_sample_image("china.jpg"))
    large = zoo.encode(photograph, "JPEG", quality=90)
    small = zoo.encode(photograph.resize((40, 30)), "JPEG", quality=90)  # half of it is less than twice 8 pixels
    scaled_graph = make_transform_graph(scaled_decoding=True)

    def pixels(graph: Path, content: bytes) -> np.ndarray:
        features = {"image": tf.constant([content]), "label": tf.constant([digit_files[0][1]])}
        return unpack(load_transform(str(graph))(features)["pixels"][0], SIZE_PX).numpy()

    off = np.abs(pixels(scaled_graph, large).astype(int) - pixels(transform_graph, large))
    assert 0 < off.max() <= 8
    for content in (small, digit_files[0][0]):
        np.testing.assert_array_equal(pixels(scaled_graph, content), pixels(transform_graph, content))

    model = build_classifier(settings(), num_classes=3)
    export(model, str(scaled_graph), SIZE_PX, str(tmp_path / "model"))
    (tmp_path / "large.jpg").write_bytes(large)
    (prediction,) = predict(tmp_path / "model", [tmp_path / "large.jpg"])
    trained_on = model(pixels(scaled_graph, large)[None], training=False).numpy()[0]
    np.testing.assert_allclose(list(prediction.scores.values()), trained_on, rtol=1e-5)
