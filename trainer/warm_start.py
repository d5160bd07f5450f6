"""Warm start: training that begins with the weights of a model that was exported earlier.

A SavedModel cannot be read back into Keras, so the weights travel beside it, in `assets.extra`, which TensorFlow and
TensorFlow Serving leave alone (https://www.tensorflow.org/guide/saved_model).
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.classifier import Classifier, build_classifier
from trainer.compute_settings import ComputeSettings
from trainer.errors import ConfigurationError, WeightsError
from trainer.files import sha256_of
from trainer.replicas import components
from trainer.serving import find_version
from trainer.settings import ModelSettings

FOLDER = "assets.extra/warm_start"
WEIGHTS_FILE = "model.weights.h5"
CARD_FILE = "warm_start.json"

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Card:
    """What must be known of weights to go on with them.

    Attributes:
        backbone: its name in the settings.
        weights: what its training was given as `weights`.
        image_size_px: height and width of its input.
        labels: the classes in the order of the head's columns.
        weights_sha256: hex digest of the weights file.
    """

    backbone: str
    weights: str
    image_size_px: int
    labels: tuple[str, ...]
    weights_sha256: str


@dataclass(frozen=True)
class WarmStart:
    """What a training begins with.

    Attributes:
        folder: of the exported model.
        sha256: hex digest of its card, and so of its weights and their meaning, wherever it lies.
        card: what it is.
        labels: the classes of the training that begins.
    """

    folder: Path
    sha256: str
    card: Card
    labels: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Classes of both: their columns of the head, and their biases, are taken over."""
        return tuple(label for label in self.labels if label in set(self.card.labels))

    @property
    def new(self) -> tuple[str, ...]:
        """Classes that the earlier model does not know: their columns are drawn anew."""
        return tuple(label for label in self.labels if label not in set(self.card.labels))

    @property
    def dropped(self) -> tuple[str, ...]:
        """Classes that only the earlier model knows."""
        return tuple(label for label in self.card.labels if label not in set(self.labels))

    @property
    def sentence(self) -> str:
        """In words, with all three lists."""
        parts = (("kept", self.kept), ("new", self.new), ("dropped", self.dropped))
        lists = "; ".join(f"{name}: {', '.join(labels) or 'none'}" for name, labels in parts)
        return f"training begins with the model in {str(self.folder)!r}; classes {lists}"


def save(model: Classifier, settings: ModelSettings, labels: Sequence[str], folder: str | Path) -> None:
    """Writes the weights and their card beside an exported SavedModel; equal models give equal bytes.

    Args:
        model: trained; a mirrored variable is read from its first replica.
        settings: that it was trained by.
        labels: its classes, in the order of the scores.
        folder: of the SavedModel.
    """
    place = Path(folder) / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    model.save_weights(place / WEIGHTS_FILE, overwrite=True)
    digest = sha256_of(place / WEIGHTS_FILE)
    card = Card(settings.backbone, settings.weights, settings.image_size_px, tuple(labels), digest)
    (place / CARD_FILE).write_text(json.dumps(dataclasses.asdict(card), indent=2) + "\n", encoding="utf-8")


def digest_of(folder: Path) -> str:
    """Hex digest of the card of an exported model; the card has that of the weights.

    Raises:
        WeightsError: there is none.
    """
    return hashlib.sha256(_card_bytes(folder)).hexdigest()


def open_warm_start(folder: Path, settings: ModelSettings, labels: Sequence[str]) -> WarmStart:
    """Looks at an exported model, and at how its classes meet those of a training.

    Args:
        folder: of an exported model, or of its numbered versions, of which the newest is taken.
        settings: of the training.
        labels: its classes, in the order of their ids.

    Raises:
        ThawError: the folder holds no complete SavedModel.
        WeightsError: it has no weights to begin with, or they are damaged.
        ConfigurationError: they are of another backbone or image size.
    """
    version = find_version(folder)
    content = _card_bytes(version)
    card = _card_of(content, version)
    _check_fits(card, settings, version)
    _check_intact(card, version)
    return WarmStart(version, hashlib.sha256(content).hexdigest(), card, tuple(labels))


def find(settings: ModelSettings, labels: Sequence[str], found: str | None = None) -> WarmStart | None:
    """What a training begins with; the log tells.

    Args:
        settings: of the training.
        labels: its classes, in the order of their ids.
        found: folder of the model that "latest" stands for; None where nothing has been pushed yet.

    Raises:
        ThawError: see `open_warm_start`.
    """
    if settings.warm_start is None:
        return None
    folder = Path(found) if found is not None else settings.warm_start_path
    if folder is None:
        _LOGGER.info("no model has been pushed to begin with: training begins with weights: %s", settings.weights)
        return None
    warm_start = open_warm_start(folder, settings, labels)
    _LOGGER.info("%s", warm_start.sentence)
    return warm_start


def apply(warm_start: WarmStart, model: Classifier, settings: ModelSettings) -> None:
    """Gives a model that is just built the earlier weights: the backbone's, and the head's of classes that are kept.

    Args:
        warm_start: see `open_warm_start`.
        model: its variables, on each replica, are set; random generators stay as they are.
        settings: that it was built by.

    Raises:
        WeightsError: the file does not hold the weights of such a model.
    """
    earlier = _earlier_model(warm_start, settings)
    for source, target in zip(earlier.backbone.weights, model.backbone.weights, strict=True):
        _assign(target, np.asarray(source))
    positions = {label: index for index, label in enumerate(warm_start.card.labels)}
    kernel, bias = np.array(model.head.kernel), np.array(model.head.bias)
    for index, label in enumerate(warm_start.labels):
        if label in positions:
            kernel[:, index] = np.asarray(earlier.head.kernel)[:, positions[label]]
            bias[index] = np.asarray(earlier.head.bias)[positions[label]]
    _assign(model.head.kernel, kernel)
    _assign(model.head.bias, bias)


def content_of(asked: str | None, warm_start: WarmStart | None) -> dict[str, Any] | None:
    """What the training record says; None where no warm start was asked for.

    Args:
        asked: `warm_start` of the settings.
        warm_start: what was found; None where nothing had been pushed yet.
    """
    if warm_start is None:
        return None if asked is None else {"model": None}
    return {
        "model": str(warm_start.folder),
        "sha256": warm_start.sha256,
        "kept": list(warm_start.kept),
        "new": list(warm_start.new),
        "dropped": list(warm_start.dropped),
    }


def _earlier_model(warm_start: WarmStart, settings: ModelSettings) -> Classifier:
    changes = {"weights": "none", "weights_sha256": None, "compute": ComputeSettings()}
    earlier = build_classifier(settings.model_copy(update=changes), len(warm_start.card.labels))
    path = warm_start.folder / FOLDER / WEIGHTS_FILE
    try:
        earlier.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"model.warm_start: {str(path)!r} does not hold the weights of a {settings.backbone} with "
            f"{len(warm_start.card.labels)} classes ({str(error).strip().splitlines()[0][:200]}); {_REMEDY}"
        ) from error
    return earlier


def _assign(variable: Any, value: np.ndarray[Any, Any]) -> None:
    for component in components(variable):
        component.assign(value)


_REMEDY = "name another version, or leave model.warm_start out to begin with the pretrained weights"


def _card_bytes(folder: Path) -> bytes:
    path = folder / FOLDER / CARD_FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"model.warm_start: the model in {str(folder)!r} has no {FOLDER}/{CARD_FILE} ({error.strerror}); it was "
            f"exported by a thaw that did not write weights to begin with, or not by thaw; {_REMEDY}"
        ) from error


def _card_of(content: bytes, folder: Path) -> Card:
    try:
        values = json.loads(content)
        return Card(**{**values, "labels": tuple(values["labels"])})
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"model.warm_start: {str(folder / FOLDER / CARD_FILE)!r} is damaged, or of another version of thaw; "
            f"{_REMEDY}"
        ) from error


def _check_fits(card: Card, settings: ModelSettings, folder: Path) -> None:
    for key, found in (("backbone", card.backbone), ("image_size_px", card.image_size_px)):
        wanted = getattr(settings, key)
        if found != wanted:
            raise ConfigurationError(
                f"model.warm_start: the model in {str(folder)!r} has {key} {found}, but model.{key} is {wanted}; set "
                f"model.{key} to {found}, or {_REMEDY}"
            )


def _check_intact(card: Card, folder: Path) -> None:
    path = folder / FOLDER / WEIGHTS_FILE
    if not path.is_file():
        raise WeightsError(f"model.warm_start: no file {str(path)!r}, which {CARD_FILE} beside it tells of; {_REMEDY}")
    found = sha256_of(path)
    if found != card.weights_sha256:
        raise WeightsError(
            f"model.warm_start: {str(path)!r} is damaged: it has sha256 {found}, not the {card.weights_sha256} of "
            f"{CARD_FILE}; {_REMEDY}"
        )
