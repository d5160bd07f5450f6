"""The model that a training begins with: which one, and how its classes meet those of the training."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import ConfigurationError, ThawError, WeightsError
from trainer.serving import complete_versions, is_version
from trainer.settings import LATEST, NO_WARM_START, ModelSettings
from trainer.warm_start.card import REMEDY, Card, check_intact, digest_of, read_card

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarmStart:
    """What a training begins with.

    Attributes:
        folder: of the exported model.
        sha256: hex digest of its card, and so of its weights and their meaning, wherever it lies.
        card: what it is.
        labels: the classes of the training that begins.
        image_size_px: of the training that begins.
    """

    folder: Path
    sha256: str
    card: Card
    labels: tuple[str, ...]
    image_size_px: int

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
    def content(self) -> dict[str, Any]:
        """What the training record says of it."""
        return {
            "model": str(self.folder),
            "sha256": self.sha256,
            "image_size_px": self.card.image_size_px,
            "kept": list(self.kept),
            "new": list(self.new),
            "dropped": list(self.dropped),
        }


def find_origin(asked: str, push_destination: str | Path | None = None, training_sha256: str = "") -> Path | None:
    """The exported model that a training begins with.

    Of numbered versions it is the newest that does not come of this very training: else each push would be another
    beginning, and the next run on the same photographs would have to train once more.

    Args:
        asked: `warm_start` of the settings.
        push_destination: folder of the versions that "latest" is sought in.
        training_sha256: what the card of a model of this very training says; "" where that is not known.

    Returns:
        The folder of a SavedModel; None without a warm start, and with "latest" where there is no such version.

    Raises:
        ThawError: the folder that is asked for holds no such model.
        ConfigurationError: "latest" cannot be sought there.
    """
    if asked == NO_WARM_START:
        return None
    if asked == LATEST:
        return _latest(push_destination, training_sha256) if push_destination is not None else None
    folder = Path(asked)
    found = folder if is_version(folder) else _newest_other(folder, training_sha256)
    if found is None:
        raise ThawError(
            f"model.warm_start: no exported model in {str(folder)!r}, neither itself nor a numbered version in it; "
            f"{REMEDY}"
        )
    return found


def _latest(push_destination: str | Path, training_sha256: str) -> Path | None:
    if "://" in str(push_destination):
        raise ConfigurationError(
            f"model.warm_start is latest, but {str(push_destination)!r} is in no file system that is mounted; {REMEDY}"
        )
    return _newest_other(Path(push_destination), training_sha256)


def _newest_other(versions: Path, training_sha256: str) -> Path | None:
    for folder in complete_versions(versions):
        if not training_sha256 or _training_of(folder) != training_sha256:
            return folder
    return None


def _training_of(folder: Path) -> str:
    """Of a model without a card, or with a damaged one, nothing is known; whoever begins with it is told."""
    try:
        return read_card(folder).training_sha256
    except WeightsError:
        return ""


def open_warm_start(folder: Path, settings: ModelSettings, labels: Sequence[str]) -> WarmStart:
    """Looks at an exported model, and at how its classes meet those of a training.

    Args:
        folder: of a SavedModel.
        settings: of the training.
        labels: its classes, in the order of their ids.

    Raises:
        WeightsError: it has no weights to begin with, or they are damaged.
        ConfigurationError: they are of another backbone.
    """
    sha256, card = digest_of(folder), read_card(folder)
    if card.backbone != settings.backbone:
        raise ConfigurationError(
            f"model.warm_start: the model in {str(folder)!r} has the backbone {card.backbone}, but model.backbone is "
            f"{settings.backbone}; set model.backbone to {card.backbone}, or {REMEDY}"
        )
    check_intact(card, folder)
    found = WarmStart(folder, sha256, card, tuple(labels), settings.image_size_px)
    _LOGGER.info("training begins with %s", found.content)
    return found


def content_of(settings: ModelSettings, warm_start: WarmStart | None) -> dict[str, Any] | None:
    """What the training record says; None where no warm start was asked for.

    Args:
        settings: of the training.
        warm_start: what was found; None where nothing had been pushed yet.
    """
    if warm_start is not None:
        return warm_start.content
    return None if settings.warm_start == NO_WARM_START else {"model": None}
