"""The training record: everything one may want to know later about how a model came to be, as files."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from trainer.history import PhaseRecord
from trainer.plots import draw_curves
from trainer.search.plots import draw_rate_searches
from trainer.search.results import PhaseSearch
from trainer.settings import ModelSettings
from trainer.warm_start.origin import WarmStart, content_of

FILE_NAME = "training.json"
CURVES_FILE = "curves.png"
RATE_CURVES_FILE = "learning_rates.png"
TENSORBOARD_FOLDER = "tensorboard"


def write_record(
    folder: Path,
    settings: ModelSettings,
    phases: Sequence[PhaseRecord],
    labels: Sequence[str],
    devices: str,
    warm_start: WarmStart | None = None,
) -> None:
    """Writes `training.json`, and the curves as a picture, those of searches for learning rates too.

    Args:
        folder: an existing folder.
        settings: the model's, seed included.
        phases: in the order of training, a probe included.
        labels: the classes, in the order of the scores.
        devices: what it was trained on, in words.
        warm_start: the model that it began with; None for the pretrained weights.
    """
    text = json.dumps(record_of(settings, phases, labels, devices, warm_start), indent=2, allow_nan=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")
    draw_curves(phases, folder / CURVES_FILE)
    searches = {
        phase.settings.name: (phase.search.rate, phase.settings.peak_rate)
        for phase in phases
        if phase.search is not None and phase.search.rate is not None
    }
    if searches:
        draw_rate_searches(searches, folder / RATE_CURVES_FILE)


def record_of(
    settings: ModelSettings,
    phases: Sequence[PhaseRecord],
    labels: Sequence[str],
    devices: str,
    warm_start: WarmStart | None = None,
) -> dict[str, Any]:
    """The content of `training.json`; arguments as of `write_record`."""
    content = {
        "settings": settings.model_dump(mode="json"),
        "devices": devices,
        "labels": list(labels),
        "warm_start": content_of(settings, warm_start),
        "baseline": settings.baseline_phase,
        "phases": [_phase(phase) for phase in phases],
    }
    finite: dict[str, Any] = _finite(content)
    return finite


def _phase(phase: PhaseRecord) -> dict[str, Any]:
    return {
        "name": phase.settings.name,
        "learning_rate": phase.settings.learning_rate,
        "trainable": dataclasses.asdict(phase.trainable),
        "freeze_contract": dataclasses.asdict(phase.contract),
        "best_epoch": phase.best_epoch,
        "warning": phase.warning,
        "recalibrated": dataclasses.asdict(phase.recalibrated) if phase.recalibrated else None,
        "cache": dataclasses.asdict(phase.cache) if phase.cache else None,
        "search": TypeAdapter(PhaseSearch).dump_python(phase.search) if phase.search else None,
        "epochs": [dataclasses.asdict(epoch) for epoch in phase.epochs],
    }


def _finite(value: Any) -> Any:
    """With null in the place of numbers that JSON has no words for, such as the loss of an epoch that diverged."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
