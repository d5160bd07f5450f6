"""What a `tf.Example` says of a photograph. Reading one takes TensorFlow, which is imported when the first is read."""

import difflib
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import RecordSettings
from components.image_example_gen.sources.entry import Entry, Photograph, Value
from components.image_example_gen.sources.manifests import checked_weight
from components.image_example_gen.sources.naming import label_problem, split_named

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def photograph_of(data: bytes, entry: Entry, settings: RecordSettings) -> Photograph:
    """Reads a serialized `tf.Example`.

    Args:
        data: the serialized example.
        entry: as it was listed; what its path says holds, and the rest is filled in.
        settings: which feature means what.

    Raises:
        Refusal: CANNOT_BE_DECODED, EMPTY_FILE, NO_LABEL or BAD_VALUE.
    """
    features = _parse(data)
    content = _image(features, settings)
    filled = replace(
        entry,
        label=_label(features, settings) if entry.label is None else entry.label,
        split=_split(features, settings) if entry.split is None else entry.split,
        group=_text(features, settings.group) if entry.group is None else entry.group,
        weight=_weight(features, settings),
        features=tuple((name, one_value(features, name)) for name in sorted(settings.features) if _has(features, name)),
    )
    return Photograph(filled, content)


def _parse(data: bytes) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        return example_pb2.Example.FromString(data).features.feature
    except DecodeError:
        raise Refusal(Reason.CANNOT_BE_DECODED, "the record is not a tf.Example") from None


def _values(features: Any, name: str) -> Sequence[bytes | int | float]:
    feature = features.get(name)
    kind = None if feature is None else feature.WhichOneof("kind")
    return getattr(feature, kind).value if kind else ()


def _has(features: Any, name: str) -> bool:
    return len(_values(features, name)) > 0


def one_value(features: Any, name: str) -> Value:
    """The one value of a feature; bytes are UTF-8 text.

    Raises:
        Refusal: BAD_VALUE.
    """
    values = _values(features, name)
    if len(values) != 1:
        raise Refusal(Reason.BAD_VALUE, f"{name!r} has {len(values)} values; one is needed")
    (value,) = values
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Refusal(Reason.BAD_VALUE, f"{name!r} is not UTF-8 text: {value[:20]!r}") from None


def _text(features: Any, name: str | None) -> str | None:
    return str(one_value(features, name)).strip() or None if name and _has(features, name) else None


def _image(features: Any, settings: RecordSettings) -> bytes:
    values = _values(features, settings.image)
    if not values:
        raise Refusal(Reason.BAD_VALUE, f"no feature {settings.image!r}; {_nearest(settings.image, features)}")
    if settings.shape is not None:
        return _png(values, settings.shape)
    if len(values) != 1 or not isinstance(values[0], bytes):
        remedy = "an encoded image is needed; for raw pixels, give data.records.shape"
        raise Refusal(Reason.BAD_VALUE, f"{settings.image!r} has {len(values)} values of {_type(values)}; {remedy}")
    if not values[0]:
        raise Refusal(Reason.EMPTY_FILE, "0 bytes")
    return values[0]


def _nearest(name: str, features: Any) -> str:
    there = sorted(features)
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    return (f"nearest: {near[0]!r}; " if near else "") + f"there are: {', '.join(map(repr, there[:20])) or 'none'}"


def _type(values: Sequence[Any]) -> str:
    return type(values[0]).__name__


def _png(values: Sequence[Any], shape: tuple[int, int, int]) -> bytes:
    """Raw pixels as a PNG, which keeps every one of them."""
    from PIL import Image

    height, width, channels = shape
    pixels = _pixels(values, height * width * channels)
    buffer = io.BytesIO()
    Image.frombytes(_MODES[channels], (width, height), pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _pixels(values: Sequence[Any], num_values: int) -> bytes:
    """Raw pixels as uint8, row by row.

    Raises:
        Refusal: BAD_VALUE, they are too few or too many, or not whole numbers from 0 to 255.
    """
    import numpy as np

    is_bytes = isinstance(values[0], bytes)
    found = np.frombuffer(b"".join(values), np.uint8) if is_bytes else np.asarray(values)
    if len(found) != num_values:
        raise Refusal(Reason.BAD_VALUE, f"{len(found)} raw values where data.records.shape makes {num_values}")
    if not is_bytes and not np.all((found >= 0) & (found <= 255) & (np.floor(found) == found)):
        raise Refusal(Reason.BAD_VALUE, "raw pixels must be whole numbers from 0 to 255")
    return found.astype(np.uint8).tobytes()


def _label(features: Any, settings: RecordSettings) -> str:
    assert settings.label is not None, "without a feature, the path says the class"
    if not _has(features, settings.label):
        raise Refusal(Reason.NO_LABEL, f"no feature {settings.label!r}; {_nearest(settings.label, features)}")
    value = one_value(features, settings.label)
    if isinstance(value, float):
        raise Refusal(Reason.BAD_VALUE, f"the label {value} is not a whole number or text")
    label = _named(value, settings.label_names) if isinstance(value, int) else value.strip()
    if not label:
        raise Refusal(Reason.NO_LABEL, f"{settings.label!r} is empty")
    if label_problem(label):
        raise Refusal(Reason.BAD_VALUE, f"the label {label!r} {label_problem(label)}")
    return label


def _named(number: int, names: tuple[str, ...] | None) -> str:
    if names is None:
        return str(number)
    if not 0 <= number < len(names):
        raise Refusal(
            Reason.BAD_VALUE, f"the label {number} is none of 0 to {len(names) - 1}, of data.records.label_names"
        )
    return names[number]


def _split(features: Any, settings: RecordSettings) -> str | None:
    text = _text(features, settings.split)
    try:
        return None if text is None else split_named(text)
    except ValueError as error:
        raise Refusal(Reason.BAD_VALUE, str(error)) from None


def _weight(features: Any, settings: RecordSettings) -> float:
    return checked_weight(str(one_value(features, settings.weight))) if settings.weight else 1.0
