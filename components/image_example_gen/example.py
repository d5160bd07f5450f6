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
    features: dict[str, Value | bytes] = {
        IMAGE: content,
        LABEL: facts.label,
        "path": facts.path,
        "content_sha256": facts.content_sha256,
        "format": facts.format,
        "width_px": facts.width_px,
        "height_px": facts.height_px,
        "num_bytes": facts.num_bytes,
        "is_normalised": int(facts.is_normalised),
        "weight": float(entry.weight),
        "group": facts.group or "",
        **dict(entry.features),
    }
    example = tf.train.Example()
    for name, value in features.items():
        # In place: each message that is handed to another one's constructor would copy the photograph.
        _set(example.features.feature[name], value)
    return example.SerializeToString(deterministic=True)


def _set(feature: tf.train.Feature, value: Value | bytes) -> None:
    if isinstance(value, str):
        value = value.encode(errors="surrogateescape")
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
    elif isinstance(value, float):
        feature.float_list.value.append(value)
    else:
        feature.int64_list.value.append(value)
