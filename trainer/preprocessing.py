"""The preprocessing graph: what Transform materializes for training and what the exported model does to its input."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from trainer import images
from trainer.features import IMAGE, LABEL, LABEL_ID, LABEL_VOCABULARY, PIXELS

RAW_FEATURE_SPEC = {
    IMAGE: tf.io.FixedLenFeature([], tf.string),
    LABEL: tf.io.FixedLenFeature([], tf.string),
}


def preprocessing_fn(inputs: Mapping[str, tf.Tensor], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """tf.Transform's entry point.

    Images leave as packed uint8 bytes, one string per image: a float feature per pixel would be forty times slower to
    write and read back.

    Args:
        inputs: "image": string [batch], encoded bytes; "label": string [batch].
        custom_config: "image_size_px": height and width of the result in pixels. As of
            `trainer.images.decode_and_resize`, and with its defaults when absent: "background_rgb",
            "max_image_pixels", "scaled_decoding".

    Returns:
        "pixels": string [batch], see `trainer.images.pack`; "label_id": int64 [batch], the rank of the label in the
        vocabulary (most frequent first, ties in descending order of bytes), -1 for a label that is not in it.
    """
    to_packed_pixels = images.decoding_to_packed(
        image_size_px=int(custom_config["image_size_px"]),
        background_rgb=tuple(custom_config.get("background_rgb", images.WHITE)),
        max_pixels=int(custom_config.get("max_image_pixels", images.DEFAULT_MAX_PIXELS)),
        scaled_decoding=bool(custom_config.get("scaled_decoding", False)),
    )
    label_id = tft.compute_and_apply_vocabulary(
        inputs[LABEL], vocab_filename=LABEL_VOCABULARY, num_oov_buckets=0, default_value=-1
    )
    return {PIXELS: images.map_batch(to_packed_pixels, inputs[IMAGE], tf.TensorSpec([], tf.string)), LABEL_ID: label_id}
