"""The weights beside an exported model, and what must be known of them to go on with them."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.classifier import Classifier
from trainer.errors import WeightsError
from trainer.files import sha256_of
from trainer.settings import ModelSettings
from trainer.warm_start import FOLDER

WEIGHTS_FILE = "model.weights.h5"
CARD_FILE = "warm_start.json"
REMEDY = "name another version, or set model.warm_start to none to begin with the pretrained weights"

_LOGGER = logging.getLogger(__name__)

# To be raised when the same card would stand for other weights.
_FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What the weights of a model are.

    Attributes:
        backbone: its name in the settings.
        image_size_px: height and width of the input that it was trained with.
        labels: the classes in the order of the head's columns.
        training_sha256: of what the model was trained on, and how; "" where nobody said. See
            `trainer.warm_start.origin.find_origin`.
        weights_sha256: hex digest of the weights file.
        format: of this card and of the weights file.
    """

    backbone: str
    image_size_px: int
    labels: tuple[str, ...]
    training_sha256: str
    weights_sha256: str
    format: int = _FORMAT


def save(
    model: Classifier, settings: ModelSettings, labels: Sequence[str], folder: str | Path, training_sha256: str = ""
) -> float:
    """Writes the weights and their card beside an exported SavedModel.

    Args:
        model: trained; a mirrored variable is read from its first replica.
        settings: that it was trained by.
        labels: its classes, in the order of the scores.
        folder: of the SavedModel.
        training_sha256: see `Card`.

    Returns:
        The size of the weights file in MiB.
    """
    place = Path(folder) / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    weights = place / WEIGHTS_FILE
    model.save_weights(weights, overwrite=True)
    card = Card(settings.backbone, settings.image_size_px, tuple(labels), training_sha256, sha256_of(weights))
    # json escapes what is not ASCII, and with it bytes of class folders that are not UTF-8.
    (place / CARD_FILE).write_text(json.dumps(dataclasses.asdict(card), indent=2) + "\n", encoding="ascii")
    size_mib = weights.stat().st_size / 2**20
    _LOGGER.info("%.1f MiB of weights that a later training can begin with are in %s", size_mib, place)
    return size_mib


def digest_of(folder: Path) -> str:
    """Hex digest of the card of an exported model, which has that of the weights in it.

    Raises:
        WeightsError: there is none.
    """
    return hashlib.sha256(_content_of(folder)).hexdigest()


def read_card(folder: Path) -> Card:
    """The card of an exported model.

    Raises:
        WeightsError: there is none, or it cannot be read.
    """
    content = _content_of(folder)
    try:
        values = json.loads(content)
        if values["format"] != _FORMAT:
            raise ValueError
        return Card(**{**values, "labels": tuple(values["labels"])})
    except (ValueError, KeyError, TypeError):
        raise WeightsError(
            f"model.warm_start: {str(folder / FOLDER / CARD_FILE)!r} is damaged, or of another version of thaw; "
            f"{REMEDY}"
        ) from None


def check_intact(card: Card, folder: Path) -> None:
    """Checks that the weights file is the one that the card tells of.

    Raises:
        WeightsError: it is missing or another one.
    """
    path = folder / FOLDER / WEIGHTS_FILE
    if not path.is_file():
        raise WeightsError(f"model.warm_start: no file {str(path)!r}, which {CARD_FILE} beside it tells of; {REMEDY}")
    found = sha256_of(path)
    if found != card.weights_sha256:
        raise WeightsError(
            f"model.warm_start: {str(path)!r} is damaged: it has sha256 {found}, not the {card.weights_sha256} of "
            f"{CARD_FILE}; {REMEDY}"
        )


def _content_of(folder: Path) -> bytes:
    path = folder / FOLDER / CARD_FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"model.warm_start: the model in {str(folder)!r} has no {FOLDER}/{CARD_FILE} ({error.strerror}); it was "
            f"exported by a thaw that did not write weights to begin with, or not by thaw; {REMEDY}"
        ) from error
