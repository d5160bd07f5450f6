"""Training on cached activations ends with the very weights of training on images."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of

from trainer.activation_cache import deciding, entries, filling_all
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.planning import Costs, Decision
from trainer.activation_cache.store import NoStore, Store
from trainer.devices import make_strategy
from trainer.errors import ThawError
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
    model_settings: ModelSettings, data: TrainingData, store: Store | NoStore, num_replicas: int = 1
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
    expected = train(without_cache(model_settings), training_data, NoStore(), num_replicas)
    assert_same(train(model_settings, training_data, store, num_replicas), expected)


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.slow
def test_a_shard_that_is_damaged_while_training_reads_it_is_computed_anew_and_changes_no_bit(
    num_replicas: int, training_data: TrainingData, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an epoch of each phase, with Dropout, whose state a step that got no batch must not move."""
    model_settings = plan(batch_size_per_replica=16 // num_replicas)
    expected = train(without_cache(model_settings), training_data, NoStore(), num_replicas)
    num_reads, num_damaged = 0, 0
    original = Entry.read

    def read(entry: Entry, numbers: np.ndarray) -> np.ndarray:
        nonlocal num_reads, num_damaged
        num_reads += 1
        if num_reads in (9, 33):
            num_damaged += 1
            damage(next(entry.folder.glob("shard-*.rows")))
        return original(entry, numbers)

    monkeypatch.setattr(Entry, "read", read)
    assert_same(train(model_settings, training_data, store, num_replicas), expected)
    assert num_damaged == 2


def damage(path: Path) -> None:
    """In every row, so that whichever is read next is damaged."""
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


@pytest.mark.slow
def test_a_second_training_computes_nothing_and_a_damaged_shard_of_the_first_is_not_trained_on(
    training_data: TrainingData, store: Store, computed: list[int]
) -> None:
    first = train(plan(), training_data, store)
    num_first = sum(computed)
    assert_same(train(plan(), training_data, store), first)
    assert sum(computed) == num_first
    for path in store.folder.glob("entries/*/shard-*.rows"):
        damage(path)
    assert_same(train(plan(), training_data, store), first)
    assert sum(computed) > num_first


@pytest.mark.slow
def test_one_pass_serves_the_phases_after_it_too(
    training_data: TrainingData, store: Store, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_comes_along", lambda *_: True)  # on such small images it does not pay
    train(plan(), training_data, store)
    assert sum(computed) == training_data.train.num_examples + 1 + training_data.eval.num_examples + 1
    assert len(list(store.folder.glob("entries/*"))) == 4


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


@pytest.mark.slow
def test_a_full_disk_ends_the_cache_and_not_the_training(
    training_data: TrainingData, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is required, it ends the training, with the reason; in both cases nothing is left on the disk."""
    expected = train(without_cache(plan()), training_data, NoStore())
    monkeypatch.setattr(deciding, "decide", lambda *_: Decision(True, "it is to be tried"))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Entry, "write", full)
    monkeypatch.setattr(deciding, "measure", lambda _, wanted: [(Costs(1, 0, 0), "none")] * len(wanted))
    assert_same(train(plan(cache="auto"), training_data, store), expected)
    assert not list(store.folder.glob("entries/*"))
    with pytest.raises(ThawError, match=r"cache is require, but phase 'head' cannot .* No space left"):
        train(plan(), training_data, store)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phases": (head_phase(augmentation={"horizontal_flip": True}), fine_tune_phase())}, "in every epoch"),
        ({"phases": (head_phase(augmentation={"mix_up_alpha": 0.2}), fine_tune_phase())}, "MixUp"),
    ],
    ids=["augmentation", "mixing"],
)
def test_a_cache_that_is_required_and_would_change_the_result_is_an_error(
    changes: dict[str, Any], reason: str, training_data: TrainingData, store: Store
) -> None:
    with pytest.raises(ThawError, match=reason):
        train(plan(**changes), training_data, store)


def test_a_cache_that_is_too_small_is_an_error_where_it_is_required(training_data: TrainingData, store: Store) -> None:
    with pytest.raises(ThawError, match="more than the cache may take"):
        train(plan(), training_data, Store(store.folder, max_bytes=1000))


class Killed(BaseException):
    """Stands in for a death that nothing in the program can catch."""


@pytest.mark.slow
@pytest.mark.parametrize(("with_next", "num_left"), [(False, 53 - 48), (True, 53 - 16)])
def test_a_killed_pass_goes_on_at_the_last_full_shard(
    with_next: bool,
    num_left: int,
    training_data: TrainingData,
    store: Store,
    computed: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three shards that were written; where the pass fills two entries, the second is the other's."""
    monkeypatch.setattr(deciding, "_comes_along", lambda *_: with_next)
    monkeypatch.setattr(entries, "_MAX_ROWS_PER_SHARD", 16)
    expected = train(without_cache(plan()), training_data, NoStore())
    original, num_written = Entry.write, 0

    def write(entry: Entry, shard: int, rows: np.ndarray) -> None:
        nonlocal num_written
        original(entry, shard, rows)
        if not entry.folder.name.startswith(".trial"):
            num_written += 1
            if num_written == 3:
                raise Killed

    monkeypatch.setattr(Entry, "write", write)
    with pytest.raises(Killed):
        train(plan(), training_data, store)
    computed.clear()
    assert_same(train(plan(), training_data, store), expected)
    assert computed[0] == num_left


@pytest.mark.slow
@pytest.mark.parametrize(("cache_dtype", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_the_space_costs_a_stated_error(
    cache_dtype: str, tolerance: float, training_data: TrainingData, store: Store
) -> None:
    expected, _ = train(without_cache(plan()), training_data, NoStore())
    found, _ = train(plan(cache_dtype=cache_dtype), training_data, store)
    differences = [float(np.max(np.abs(found[path] - value), initial=0)) for path, value in expected.items()]
    print(cache_dtype, max(differences))
    assert 0 < max(differences) < tolerance
