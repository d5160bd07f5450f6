"""The model that leaves: a SavedModel that takes encoded images and knows the names of its classes."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from trainer.classifier import Classifier
from trainer.features import IMAGE, LABEL, LABEL_ID, LABEL_VOCABULARY
from trainer.images import unpack
from trainer.transform_graph import load_saved_transform, pixels_of, read_labels, vocabulary_path

SERVING_SIGNATURE = "serving_default"
# Takes serialized tf.Examples as ImageExampleGen writes them; TFMA evaluates through it.
EXAMPLES_SIGNATURE = "serving_examples"
# From serialized tf.Examples to the id of their label; TFMA reads the truth through it.
LABEL_FUNCTION = "label_features"


class ServedClassifier(tf.Module):
    """The classifier behind the preprocessing graph of its training.

    Both the model and the graph are attributes: an object that is not attached is not exported, and its tables would be
    uninitialised in the SavedModel.
    """

    def __init__(self, model: Classifier, transform_graph: str, image_size_px: int) -> None:
        super().__init__(name="served_classifier")
        self.model = model
        self.transform = load_saved_transform(transform_graph)
        self.label_vocabulary = tf.saved_model.Asset(vocabulary_path(transform_graph))
        self._labels = read_labels(transform_graph)
        self._image_size_px = image_size_px

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def serve_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded JPEG or PNG files.

        Args:
            images: string [batch], the bytes of the files.

        Returns:
            "label": string [batch]; "score": float32 [batch], the label's probability; "scores": float32 [batch,
            classes], in the order of the label vocabulary.
        """
        scores = self._scores(images)
        return {
            "label": tf.gather(self._label_bytes(), tf.argmax(scores, axis=-1)),
            "score": tf.reduce_max(scores, axis=-1),
            "scores": scores,
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `serve_images`, "scores" alone, for serialized tf.Examples."""
        parsed = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([], tf.string)})
        return {"scores": self._scores(parsed[IMAGE])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def label_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """The id of the label of serialized tf.Examples: int64 [batch], -1 where the label is not in the vocabulary."""
        parsed = tf.io.parse_example(examples, {LABEL: tf.io.FixedLenFeature([], tf.string)})
        is_class = tf.equal(parsed[LABEL][:, None], self._label_bytes()[None, :])
        return {
            LABEL_ID: tf.where(tf.reduce_any(is_class, axis=-1), tf.argmax(tf.cast(is_class, tf.int8), axis=-1), -1)
        }

    def _label_bytes(self) -> tf.Tensor:
        return tf.constant([label.encode(errors="surrogateescape") for label in self._labels])

    def _scores(self, encoded_images: tf.Tensor) -> tf.Tensor:
        packed = pixels_of(self.transform, encoded_images)
        size = self._image_size_px
        pixels = tf.map_fn(
            lambda one: unpack(one, size),
            packed,
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
        )
        return self.model(pixels, training=False)


def export(model: Classifier, transform_graph: str, image_size_px: int, folder: str) -> None:
    """Writes a SavedModel.

    Args:
        model: trained; a mirrored variable is read from its first replica.
        transform_graph: folder of the TransformGraph artifact that the training examples went through.
        image_size_px: height and width of the model's input.
        folder: where to; `saved_model.pb` and its variables and assets lie in it afterwards.
    """
    served = ServedClassifier(model, transform_graph, image_size_px)
    signatures: dict[str, Any] = {
        SERVING_SIGNATURE: served.serve_images,
        EXAMPLES_SIGNATURE: served.serve_examples,
        LABEL_FUNCTION: served.label_features,
    }
    tf.saved_model.save(served, folder, signatures=signatures)


def is_complete(folder: str) -> bool:
    """Whether a folder holds a SavedModel of ours with its graph, its variables and its labels."""
    needed = ("saved_model.pb", "variables/variables.index", "variables/variables.data-*", f"assets/{LABEL_VOCABULARY}")
    return all(any(Path(folder).glob(name)) for name in needed)
