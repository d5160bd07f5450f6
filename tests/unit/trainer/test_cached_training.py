"""Training on cached activations ends with the very weights of training on images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cached import OnImages, assert_same, plan, train
from tiny import fine_tune_phase, head_phase

from trainer import datasets, progress
from trainer.activation_cache import deciding
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.store import Store
from trainer.settings import Boundary
from trainer.training import TrainingData

pytestmark = pytest.mark.slow

VARIED = {"horizontal_flip": True, "colour_strength": 0.2, "num_views": 2}
FROM_BLOCK_3 = Boundary(block="block3")


@pytest.mark.parametrize(
    ("changes", "num_replicas"),
    [
        *(({"phases": (head_phase(), fine_tune_phase(unfreeze=FROM_BLOCK_3, batch_norm="adapt"))}, n) for n in (1, 2)),
        *(
            ({"phases": (head_phase(epochs=3, augmentation=VARIED), fine_tune_phase(epochs=2, augmentation=VARIED))}, n)
            for n in (1, 2)
        ),
        (
            {
                "phases": (
                    head_phase(epochs=None, steps=5, evaluate_every_steps=2),
                    fine_tune_phase(batch_norm="recalibrate"),
                )
            },
            1,
        ),
        ({"compute": {"precision": "mixed_bfloat16", "num_micro_batches": 2}}, 1),
    ],
    ids=[
        "adapt sees padding-1",
        "adapt sees padding-2",
        "views-1",
        "views-2",
        "steps, recalibrate",
        "bfloat16 in parts",
    ],
)
def test_weights_and_history_are_those_without_the_cache_bit_for_bit(
    changes: dict[str, Any], num_replicas: int, training_data: TrainingData, store: Store, on_images: OnImages
) -> None:
    """The plain plan is held to it below, damage included."""
    model_settings = plan(**changes, batch_size_per_replica=16 // num_replicas)
    expected = on_images(model_settings, num_replicas)
    assert_same(train(model_settings, training_data, store, num_replicas), expected)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_shard_that_is_damaged_while_training_reads_it_is_computed_anew_and_changes_no_bit(
    num_replicas: int,
    training_data: TrainingData,
    store: Store,
    on_images: OnImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of an epoch of each phase, with Dropout, whose state a step that got no batch must not move."""
    model_settings = plan(batch_size_per_replica=16 // num_replicas)
    expected = on_images(model_settings, num_replicas)
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


def test_a_second_training_computes_nothing_and_a_damaged_shard_of_the_first_is_not_trained_on(
    training_data: TrainingData, store: Store, computed: list[int], on_images: OnImages
) -> None:
    train(plan(), training_data, store)
    num_first = sum(computed)
    assert_same(train(plan(), training_data, store), on_images(plan(), 1))
    assert sum(computed) == num_first
    for path in store.folder.glob("entries/*/shard-*.rows"):
        damage(path)
    assert_same(train(plan(), training_data, store), on_images(plan(), 1))
    assert sum(computed) > num_first


def test_images_are_read_in_the_pass_alone_and_it_tells_how_far_it_is(
    training_data: TrainingData, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a step of either phase reads any, nor an evaluation of the baseline or of the candidate."""
    for name in ("training_batches", "evaluation_batches"):
        monkeypatch.setattr(datasets, name, lambda *_, **__: pytest.fail("images were read"))
    monkeypatch.setattr(deciding, "_comes_along", lambda *_: False)
    reports: list[progress.Progress] = []
    with progress.listening(reports.append):
        _, records = train(plan(), training_data, store)
    assert [record.cache.is_used for record in records if record.cache] == [True, True]
    passes = [report for report in reports if report.note == "once through the frozen layers"]
    num_rows = training_data.train.num_examples + 1 + training_data.eval.num_examples + 1
    assert [report.total for report in passes if report.done == report.total] == [num_rows] * 2
    assert passes[0].done == 16


def test_one_pass_serves_the_phases_after_it_too(
    training_data: TrainingData, store: Store, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_comes_along", lambda *_: True)  # on such small images it does not pay
    train(plan(), training_data, store)
    assert sum(computed) == training_data.train.num_examples + 1 + training_data.eval.num_examples + 1
    assert len(list(store.folder.glob("entries/*"))) == 4


@pytest.mark.parametrize(("cache_dtype", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_the_space_costs_a_stated_error(
    cache_dtype: str, tolerance: float, training_data: TrainingData, store: Store, on_images: OnImages
) -> None:
    expected, _ = on_images(plan(), 1)
    found, _ = train(plan(cache_dtype=cache_dtype), training_data, store)
    differences = [float(np.max(np.abs(found[path] - value), initial=0)) for path, value in expected.items()]
    print(cache_dtype, max(differences))
    assert 0 < max(differences) < tolerance
