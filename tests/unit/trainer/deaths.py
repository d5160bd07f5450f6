"""Trainings that die and are started again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tiny import Weights, weights_of

from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.devices import make_strategy
from trainer.phase_training import PhaseTraining
from trainer.settings import ModelSettings
from trainer.training import PhaseRecord, TrainingData, _Training, fine_tune


@dataclass
class Outcome:
    """What a training gave."""

    weights: Weights
    records: tuple[PhaseRecord, ...]
    baselines: list[Weights]


def train(
    data: TrainingData,
    folder: Path | None,
    model_settings: ModelSettings,
    num_replicas: int = 1,
    cache: Store | NoStore = NO_STORE,
    log_dir: Path | None = None,
) -> Outcome:
    baselines: list[Weights] = []
    model, records = fine_tune(
        model_settings,
        data,
        make_strategy(num_replicas),
        on_baseline=lambda model: baselines.append(weights_of(model)),
        log_dir=log_dir,
        checkpoint_dir=folder,
        cache=cache,
    )
    return Outcome(weights_of(model), records, baselines)


def assert_same(found: Outcome, expected: Outcome) -> None:
    assert found.records == expected.records
    for found_weights, expected_weights in (
        (found.weights, expected.weights),
        (found.baselines[-1], expected.baselines[-1]),
    ):
        assert found_weights.keys() == expected_weights.keys()
        for path, value in expected_weights.items():
            np.testing.assert_array_equal(found_weights[path], value, err_msg=path)


class Killed(BaseException):
    """Stands in for a death that nothing in the program can catch."""


@pytest.fixture
def die_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Dies after those steps, counted from 1 over all phases and attempts; each leaves the list when it is due."""
    planned: list[int] = []
    num_done = 0
    original = _Training._save_if_due

    def count(training: _Training, phase: PhaseTraining) -> None:
        nonlocal num_done
        original(training, phase)
        num_done += 1
        if planned and num_done == planned[0]:
            planned.pop(0)
            raise Killed

    monkeypatch.setattr(_Training, "_save_if_due", count)
    yield planned


def train_through_deaths(
    data: TrainingData,
    folder: Path,
    model_settings: ModelSettings,
    num_replicas: int = 1,
    cache: Store | NoStore = NO_STORE,
) -> tuple[Outcome, int]:
    """Starts again until it ends; returns how often it died, too."""
    for num_deaths in range(100):
        try:
            return train(data, folder, model_settings, num_replicas, cache), num_deaths
        except Killed:
            continue
    raise AssertionError("never ended")
