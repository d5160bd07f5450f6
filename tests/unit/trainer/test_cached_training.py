"""Training on cached activations ends with the very weights of training on images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of

from trainer.activation_cache.store import Store
from trainer.devices import make_strategy
from trainer.settings import Boundary, ModelSettings
from trainer.training import PhaseRecord, TrainingData, fine_tune

VARIED = {"horizontal_flip": True, "colour_strength": 0.2, "num_views": 2}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", max_bytes=2**26)


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


def train(
    model_settings: ModelSettings, data: TrainingData, store: Store | None, num_replicas: int = 1
) -> tuple[Weights, tuple[PhaseRecord, ...]]:
    model, records = fine_tune(
        model_settings, data, make_strategy(num_replicas), on_baseline=lambda _: None, cache=store
    )
    return weights_of(model), records


def assert_same(found: tuple[Weights, Any], expected: tuple[Weights, Any]) -> None:
    assert found[0].keys() == expected[0].keys()
    for path, value in expected[0].items():
        np.testing.assert_array_equal(found[0][path], value, err_msg=path)
    for with_cache, without in zip(found[1], expected[1], strict=True):
        assert with_cache.epochs == without.epochs
        assert with_cache.contract.frozen_sha256 == without.contract.frozen_sha256


def without_cache(model_settings: ModelSettings) -> ModelSettings:
    return model_settings.model_copy(update={"cache": "off"})


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"phases": (head_phase(epochs=2), fine_tune_phase(unfreeze=Boundary(block="block3"), batch_norm="adapt"))},
        {"phases": (head_phase(epochs=3, augmentation=VARIED), fine_tune_phase(epochs=3, augmentation=VARIED))},
        {
            "phases": (
                head_phase(epochs=None, steps=5, evaluate_every_steps=2),
                fine_tune_phase(batch_norm="recalibrate"),
            )
        },
        {"compute": {"precision": "mixed_bfloat16", "num_micro_batches": 2}},
    ],
    ids=["plain", "adapt sees padding", "views", "steps, recalibrate", "bfloat16 in parts"],
)
@pytest.mark.slow
def test_weights_and_history_are_those_without_the_cache_bit_for_bit(
    changes: dict[str, Any], num_replicas: int, training_data: TrainingData, store: Store
) -> None:
    model_settings = plan(**changes, batch_size_per_replica=16 // num_replicas)
    expected = train(without_cache(model_settings), training_data, None, num_replicas)
    assert_same(train(model_settings, training_data, store, num_replicas), expected)
