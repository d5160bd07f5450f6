"""A preprocessing graph without tf.Transform, for models that are trained on images which were never encoded.

It has the form that tf.Transform gives its own, so that `trainer.export` makes the same kind of model of both.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from trainer import images
from trainer.features import IMAGE, LABEL, LABEL_ID, LABEL_VOCABULARY, PIXELS


def write_plain_transform(labels: Sequence[str], image_size_px: int, folder: Path) -> None:
    """Writes a preprocessing graph: decoding and resizing, and the names of the classes.

    Args:
        labels: the classes, in the order of their ids.
        image_size_px: height and width that images are resized to.
        folder: see `trainer.transform_graph`; made where it is missing.
    """
    module = tf.Module()
    to_packed = images.decoding_to_packed(image_size_px=image_size_px)
    names = tf.constant([label.encode(errors="surrogateescape") for label in labels])

    def transform(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        is_class = tf.cast(tf.equal(inputs[LABEL][:, None], names[None, :]), tf.int64)
        label_id = tf.where(tf.reduce_any(is_class > 0, axis=-1), tf.argmax(is_class, axis=-1), -1)
        pixels = images.map_batch(to_packed, inputs[IMAGE], tf.TensorSpec([], tf.string))
        return {PIXELS: pixels, LABEL_ID: label_id}

    strings = tf.TensorSpec([None], tf.string)
    module.transform_fn = tf.function(transform, autograph=False).get_concrete_function(
        {IMAGE: strings, LABEL: strings}
    )
    with tempfile.TemporaryDirectory() as temporary:
        vocabulary = Path(temporary) / LABEL_VOCABULARY
        text = "".join(f"{label}\n" for label in labels)
        vocabulary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")
        module.vocabulary = tf.saved_model.Asset(str(vocabulary))
        target = folder / "transform_fn"
        shutil.rmtree(target, ignore_errors=True)
        tf.saved_model.save(module, str(target))
