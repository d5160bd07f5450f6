"""What must be known to go on with a training as if nothing had happened: its state beside the variables' values."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from pydantic import TypeAdapter

from trainer.data_digest import digest_of_files
from trainer.datasets import Split
from trainer.history import CacheUse, EpochRecord, PhaseRecord
from trainer.phase_settings import PhaseSettings
from trainer.search.results import PhaseSearch
from trainer.settings import ModelSettings
from trainer.warm_start.origin import WarmStart

# To be raised when a checkpoint's content changes, so that older ones are not taken for new ones.
_FORMAT = 4


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands.

    The position in the data is the step: order and augmentation are functions of seed and position. Totals, moments,
    averages, the best weights so far and the states of random generators are among the checkpoint's arrays.

    Attributes:
        phase: its number, from 0, a probe included; as many as there are where all are done.
        step: how many the phase has done.
        first_iterations: see `trainer.optimizers.build`; of each of the model's weights in their order, since layers
            without a name of their own get another one each time a model is built.
        digests: of the weights before the phase, likewise.
        epochs: of the phase, evaluated ones only.
        records: of the phases before.
        settled: the phase with what was found in the place of "auto", so that it is not searched again; None where
            nothing was searched, and where all phases are done.
        search: what was found, likewise.
        cache: whether the phase reads from the cache, which a training that goes on keeps to; None where that has not
            been decided.
    """

    phase: int
    step: int
    first_iterations: tuple[int, ...]
    digests: tuple[str, ...]
    epochs: tuple[EpochRecord, ...]
    records: tuple[PhaseRecord, ...]
    settled: PhaseSettings | None = None
    search: PhaseSearch | None = None
    cache: CacheUse | None = None


def to_json(state: TrainingState) -> dict[str, Any]:
    """Plain values, numbers that are none included."""
    values: dict[str, Any] = TypeAdapter(TrainingState).dump_python(state)
    return values


def from_json(values: Any) -> TrainingState:
    """The state that `to_json` had."""
    return TypeAdapter(TrainingState).validate_json(json.dumps(values))


def training_digest(
    settings: ModelSettings,
    splits: dict[str, Split],
    num_classes: int,
    num_replicas: int,
    warm_start: WarmStart | None = None,
    num_workers: int = 1,
) -> str:
    """One digest of everything that decides what a training gives; reads all training data.

    Of a model that it begins with, the content counts, not the place.
    """
    parts = {
        "format": _FORMAT,
        "settings": settings.model_dump(mode="json", exclude={"warm_start", "checkpoint_every_steps", "cache"}),
        "warm_start": None if warm_start is None else [warm_start.sha256, *warm_start.labels],
        "splits": {name: digest_of_files(split.files) for name, split in splits.items()},
        "num_classes": num_classes,
        "num_replicas": num_replicas,
        "versions": [tf.__version__, keras.__version__],
        **({"num_workers": num_workers} if num_workers > 1 else {}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
