"""Asks exported models about every example of the test split, in one pass."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.gate.predictions import ModelName, ModelPredictions, Predictions, TestExamples
from trainer.errors import ThawError
from trainer.example_weights import check_weights
from trainer.features import IMAGE, LABEL, WEIGHT
from trainer.progress import Tally
from trainer.saved_models import EXAMPLES_SIGNATURE, is_complete
from trainer.serving import read_model_labels

_BATCH_SIZE = 32
_NUM_SAMPLES_PER_CLASS = 2


@dataclass(frozen=True)
class Sample:
    """A photograph of the test split as it lies in the examples.

    Attributes:
        index: of its example.
        image: the bytes of the file.
    """

    index: int
    image: bytes


@dataclass
class _Facts:
    """What is noted of each example on the way."""

    slice_features: Sequence[str]
    labels: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    content_sha256: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    features: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def note(self, record: bytes) -> None:
        values = tf.train.Example.FromString(record).features.feature
        label = _text(values[LABEL])
        if len(self.samples[label]) < _NUM_SAMPLES_PER_CLASS:
            self.samples[label].append(Sample(len(self.labels), values[IMAGE].bytes_list.value[0]))
        self.labels.append(label)
        self.paths.append(_text(values["path"]))
        self.content_sha256.append(_text(values["content_sha256"]))
        self.weights.append(values[WEIGHT].float_list.value[0] if WEIGHT in values else 1.0)
        for name in self.slice_features:
            if name not in values:
                known = ", ".join(sorted(set(values) - {IMAGE}))
                raise ThawError(
                    f"gate.slice_features: the examples have no feature {name!r}; they have {known}. "
                    "data.manifest.features adds columns of a manifest"
                )
            self.features[name].append(_text(values[name]))


def predict(
    models: Mapping[ModelName, str], files: Sequence[str], slice_features: Sequence[str] = ()
) -> tuple[Predictions, list[Sample]]:
    """What each model says of each example.

    Args:
        models: folders of SavedModels, by name.
        files: TFRecord files of raw examples, in order.
        slice_features: features of the examples to keep.

    Returns:
        The predictions, and two photographs of each class, in the order of the examples.

    Raises:
        ThawError: a model cannot be asked, there are no examples, or they lack a feature or have weights that
            cannot be right.
    """
    opened = {name: open_model(folder) for name, folder in models.items()}
    facts = _Facts(slice_features)
    scores: dict[ModelName, list[np.ndarray[Any, Any]]] = {name: [] for name in models}
    tally = Tally(None, "test images")
    for batch in tf.data.TFRecordDataset(list(files)).batch(_BATCH_SIZE).prefetch(1):
        records = batch.numpy()
        for name, model in opened.items():
            scores[name].append(model.signature(examples=batch)["scores"].numpy())
        for record in records:
            facts.note(record)
        tally.advance(len(records))
    if not facts.labels:
        raise ThawError(f"there are no test examples in {', '.join(files) or 'an empty split'}; see data.splits")
    check_weights(np.array(facts.weights), "the test split")
    weights = facts.weights if len(set(facts.weights)) > 1 else None
    examples = TestExamples(facts.labels, facts.paths, facts.content_sha256, dict(facts.features), weights)
    predictions = {
        name: ModelPredictions(model.labels, np.concatenate(scores[name]).astype(np.float32))
        for name, model in opened.items()
    }
    return Predictions(examples, predictions), _in_order(facts.samples.values())


def read_images(files: Sequence[str], positions: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The photographs at these positions, with their positions, in order; no model is asked."""
    wanted = set(positions)
    records = tf.data.TFRecordDataset(list(files)).take(max(wanted) + 1 if wanted else 0)
    for position, record in enumerate(records.as_numpy_iterator()):
        if position in wanted:
            yield position, tf.train.Example.FromString(record).features.feature[IMAGE].bytes_list.value[0]


def _in_order(samples: Iterable[Sequence[Sample]]) -> list[Sample]:
    return sorted((sample for of_class in samples for sample in of_class), key=lambda sample: sample.index)


@dataclass(frozen=True)
class OpenedModel:
    """A loaded model.

    Attributes:
        labels: its classes, in the order of its scores.
        signature: takes serialized examples.
        loaded: keeps its variables alive.
    """

    labels: tuple[str, ...]
    signature: Any
    loaded: Any


def open_model(folder: str) -> OpenedModel:
    """Loads a SavedModel of ours.

    Raises:
        ThawError: it is none.
    """
    if not is_complete(folder):
        raise ThawError(f"no complete SavedModel in {folder!r}: a graph, variables and labels are needed")
    loaded = tf.saved_model.load(folder)
    if EXAMPLES_SIGNATURE not in loaded.signatures:
        raise ThawError(f"the model in {folder!r} has no signature {EXAMPLES_SIGNATURE!r}; it was not made by thaw")
    return OpenedModel(read_model_labels(Path(folder)), loaded.signatures[EXAMPLES_SIGNATURE], loaded)


def _text(feature: Any) -> str:
    """The first value of a feature of any kind; "" where there is none."""
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if not values:
        return ""
    value = values[0]
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)
