"""The model that leaves: a SavedModel that takes encoded images and knows the names of its classes."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainer.classifier import Classifier
from trainer.errors import ThawError
from trainer.features import IMAGE, LABEL, LABEL_ID
from trainer.image_forms import MAX_PIXELS
from trainer.images import unpack, unpack_batch
from trainer.per_image import error_texts, pixels_of_good_images
from trainer.precision import computing_in_float32
from trainer.saved_models import EXAMPLES_SIGNATURE, LABEL_FUNCTION, SERVING_SIGNATURE
from trainer.transform_graph import load_saved_transform, pixels_of, read_labels, vocabulary_path


class ServedClassifier(tf.Module):
    """The classifier behind the preprocessing graph of its training.

    The graph and the variables are attributes: what is not attached is not exported, and its tables would be
    uninitialised in the SavedModel. The model itself is not: of an attached Keras model every variable is saved twice,
    and a server that runs sessions, as TensorFlow Serving does, restores the copies that the signatures do not use
    (https://github.com/tensorflow/tensorflow/issues/72963).
    """

    def __init__(self, model: Classifier, transform_graph: str, image_size_px: int) -> None:
        super().__init__(name="served_classifier")
        self._classify: Callable[[tf.Tensor], tf.Tensor] = lambda pixels: model(pixels, training=False)
        self.model_variables = [variable.value for variable in model.variables]
        self.transform = load_saved_transform(transform_graph)
        self.label_vocabulary = tf.saved_model.Asset(vocabulary_path(transform_graph))
        self._labels = read_labels(transform_graph)
        self._image_size_px = image_size_px
        self._max_pixels = max_pixels_of(self.transform)
        # For clients that normalise images before they send them; the graph itself has both built in.
        self.background_rgb = tf.Variable(background_of(self.transform, image_size_px), trainable=False)
        self.max_pixels = tf.Variable(self._max_pixels, dtype=tf.int64, trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def serve_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded images: those that `trainer.images.ACCEPTED` lists.

        An image of another form, of a kind or size that is not taken, or a damaged one has an error of its own; the
        others are answered as if it were not there.

        Args:
            images: string [batch], the bytes of the files.

        Returns:
            "label": string [batch]; "score": float32 [batch], the label's probability; "scores": float32 [batch,
            classes], in the order of the label vocabulary; "error": string [batch], why there is no answer, or "".
            Where there is an error, the label is "" and all scores are 0.
        """
        pixels, positions = pixels_of_good_images(self.transform, images, self._image_size_px)
        is_good = _spread(tf.fill(tf.shape(positions), True), positions, images)
        scores = _spread(self._classify(pixels), positions, images)
        return {
            "label": tf.where(is_good, tf.gather(self._label_bytes(), tf.argmax(scores, axis=-1)), ""),
            "score": tf.reduce_max(scores, axis=-1),
            "scores": scores,
            "error": error_texts(images, is_good, self._max_pixels),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `serve_images`, "scores" alone, for serialized tf.Examples; a bad image fails the batch."""
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
        return self._classify(unpack_batch(packed, self._image_size_px))


def _spread(values: tf.Tensor, positions: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Puts the values of good images into their places in the batch: zeros or False elsewhere."""
    num_images = tf.size(images)
    shape = tf.concat([[num_images + 1], tf.shape(values)[1:]], axis=0)
    return tf.ensure_shape(tf.scatter_nd(positions[:, None], values, shape)[:num_images], [None, *values.shape[1:]])


def background_of(saved_transform: Any, image_size_px: int) -> tf.Tensor:
    """What shows through transparent pixels: int32 [3], what the transform graph makes of a transparent image."""
    packed = pixels_of(saved_transform, tf.io.encode_png(tf.zeros([1, 1, 4], tf.uint8))[None])
    return tf.cast(unpack(packed[0], image_size_px)[0, 0], tf.int32)


def max_pixels_of(saved_transform: Any) -> int:
    """The most pixels of an image that the transform graph takes: a constant in it, since to try would take memory.

    Raises:
        ThawError: the graph has no such constant.
    """
    for function in saved_transform.transform_fn.graph.as_graph_def().library.function:
        for node in function.node_def:
            if node.op == "Const" and node.name.rpartition("/")[2] == MAX_PIXELS:
                return int(tf.make_ndarray(node.attr["value"].tensor))
    raise ThawError(
        f"the transform graph has no constant {MAX_PIXELS!r}; another version of thaw wrote it: run Transform again"
    )


def export(model: Classifier, transform_graph: str, image_size_px: int, folder: str) -> None:
    """Writes a SavedModel, which computes in float32 whatever the model was trained in.

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
    with computing_in_float32(model):  # what is served does not depend on the machine that trained it
        tf.saved_model.save(served, folder, signatures=signatures)
