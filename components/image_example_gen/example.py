"""The record of one photograph: what every later step reads."""

import tensorflow as tf

from components.image_example_gen.facts import Facts
from components.image_example_gen.sources.entry import Entry, Value
from trainer.features import IMAGE, LABEL


def make_example(entry: Entry, facts: Facts, content: bytes) -> bytes:
    """Serializes a `tf.Example`; the same photograph gives the same bytes.

    Args:
        entry: as it was read.
        facts: what was found out about it.
        content: the encoded image that is kept.

    Returns:
        `image`, `label`, `path`, `content_sha256` (hex, of the file as it came), `format` (of the file as it came) and
        `group` ("" where there is none): bytes; `width_px`, `height_px`, `num_bytes` (of the file as it came) and
        `is_normalised` (whether `image` is a PNG in its place): int64; `weight`: float; and the source's own features.
    """
    features = {
        IMAGE: _bytes(content),
        LABEL: _feature(facts.label),
        "path": _feature(facts.path),
        "content_sha256": _feature(facts.content_sha256),
        "format": _feature(facts.format),
        "width_px": _feature(facts.width_px),
        "height_px": _feature(facts.height_px),
        "num_bytes": _feature(facts.num_bytes),
        "is_normalised": _feature(int(facts.is_normalised)),
        "weight": _feature(float(entry.weight)),
        "group": _feature(facts.group or ""),
        **{name: _feature(value) for name, value in entry.features},
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _feature(value: Value) -> tf.train.Feature:
    if isinstance(value, str):
        return _bytes(value.encode(errors="surrogateescape"))
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
