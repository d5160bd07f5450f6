"""Trainings with the cache and without, and what they must have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of

from trainer.activation_cache import filling_all
from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.devices import make_strategy
from trainer.settings import ModelSettings
from trainer.training import PhaseRecord, TrainingData, fine_tune

Trained = tuple[Weights, tuple[PhaseRecord, ...]]
# Takes a plan and a number of replicas.
OnImages = Callable[[ModelSettings, int], Trained]


def plan(**changes: Any) -> ModelSettings:
    values: dict[str, Any] = {
        "phases": (
            head_phase(epochs=3, learning_rate=0.05),
            fine_tune_phase(epochs=2, optimizer={"name": "adamw", "state": "fresh"}),
        ),
        "dropout_rate": 0.3,
        "cache": "require",
    }
    return settings(**{**values, **changes})


def train(model_settings: ModelSettings, data: TrainingData, store: Store | NoStore, num_replicas: int = 1) -> Trained:
    model, records = fine_tune(
        model_settings, data, make_strategy(num_replicas), on_baseline=lambda _: None, cache=store
    )
    return weights_of(model), records


def assert_same(found: Trained, expected: Trained) -> None:
    assert found[0].keys() == expected[0].keys()
    for path, value in expected[0].items():
        np.testing.assert_array_equal(found[0][path], value, err_msg=path)
    for with_cache, without in zip(found[1], expected[1], strict=True):
        assert with_cache.epochs == without.epochs
        assert with_cache.contract.frozen_sha256 == without.contract.frozen_sha256


@pytest.fixture(scope="session")
def on_images(training_data: TrainingData) -> OnImages:
    """Trains a plan without the cache; the same one only once."""
    known: dict[tuple[str, int], Trained] = {}

    def find(model_settings: ModelSettings, num_replicas: int = 1) -> Trained:
        without = model_settings.model_copy(update={"cache": "off", "cache_dtype": "exact"})
        key = without.model_dump_json(), num_replicas
        if key not in known:
            known[key] = train(without, training_data, NO_STORE, num_replicas)
        return known[key]

    return find


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", max_bytes=2**26)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each pass was to compute."""
    found: list[int] = []
    original = filling_all.num_missing_rows

    def count(fillings: Any) -> int:
        found.append(original(fillings))
        return found[-1]

    monkeypatch.setattr(filling_all, "num_missing_rows", count)
    return found
