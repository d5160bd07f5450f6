"""The training record: everything one may want to know later about how a model came to be, as files."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.settings import ModelSettings
from trainer.training import PhaseRecord

FILE_NAME = "training.json"
TENSORBOARD_FOLDER = "tensorboard"


def write_record(
    folder: Path, settings: ModelSettings, phases: Sequence[PhaseRecord], labels: Sequence[str], devices: str
) -> None:
    """Writes `training.json`.

    Args:
        folder: an existing folder.
        settings: the model's, seed included.
        phases: in the order of training.
        labels: the classes, in the order of the scores.
        devices: what it was trained on, in words.
    """
    content = {
        "settings": settings.model_dump(mode="json"),
        "devices": devices,
        "labels": list(labels),
        "phases": [_phase(phase) for phase in phases],
    }
    (folder / FILE_NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _phase(phase: PhaseRecord) -> dict[str, Any]:
    return {
        "name": phase.settings.name,
        "learning_rate": phase.settings.learning_rate,
        "trainable": dataclasses.asdict(phase.trainable),
        "freeze_contract": dataclasses.asdict(phase.contract),
        "best_epoch": phase.best_epoch,
        "epochs": [dataclasses.asdict(epoch) for epoch in phase.epochs],
    }
