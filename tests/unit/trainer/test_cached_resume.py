"""That a training which was killed ends with the same bits, wherever the cache was when it was killed."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deaths import Killed, Outcome, assert_same, train, train_through_deaths
from tiny import fine_tune_phase, head_phase, settings

from trainer.activation_cache import entries, shards
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.store import Store
from trainer.errors import ThawError
from trainer.interruption import Interrupted
from trainer.settings import ModelSettings
from trainer.training import TrainingData

pytestmark = pytest.mark.slow

NUM_STEPS = 4 * 3 + 4 * 3


def plan(**changes: Any) -> ModelSettings:
    """Dropout, an average, moments that are carried, a schedule, and two views of each image in the first phase."""
    varied = {"horizontal_flip": True, "colour_strength": 0.2, "num_views": 2}
    carry = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0, "state": "carry"}
    phases = (
        head_phase(epochs=3, learning_rate=0.5, augmentation=varied),
        fine_tune_phase(epochs=3, learning_rate=0.05, schedule="one_cycle", optimizer=carry),
    )
    values = {"phases": phases, "dropout_rate": 0.3, "ema_decay": 0.9, "checkpoint_every_steps": 3, "cache": "require"}
    return settings(**{**values, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "a cache – 缓存", max_bytes=2**26)


@pytest.fixture(scope="module")
def undisturbed(training_data: TrainingData) -> Outcome:
    """On images."""
    return train(training_data, None, plan(cache="off"))


@pytest.fixture
def die_at_shard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Dies when so many shards of 16 rows have been written, counted over all attempts, trials of speed included."""
    planned: list[int] = []
    num_written = 0
    original = shards.write

    def write(*arguments: Any) -> None:
        nonlocal num_written
        original(*arguments)
        num_written += 1
        if planned and num_written == planned[0]:
            planned.pop(0)
            raise Killed

    monkeypatch.setattr(entries, "_MAX_ROWS_PER_SHARD", 16)
    monkeypatch.setattr(shards, "write", write)
    yield planned


@pytest.mark.parametrize("seed", range(2))
def test_a_training_killed_in_passes_and_at_steps_ends_bit_identical(
    seed: int,
    training_data: TrainingData,
    undisturbed: Outcome,
    store: Store,
    die_at: list[int],
    die_at_shard: list[int],
    tmp_path: Path,
) -> None:
    """In the pass of the first phase, in both phases, and in the pass of the second."""
    drawn = random.Random(seed)
    die_at.extend(sorted(drawn.sample(range(1, NUM_STEPS + 1), 3)))
    die_at_shard.extend([drawn.randint(2, 8), drawn.randint(13, 15)])
    outcome, num_deaths = train_through_deaths(training_data, tmp_path / "checkpoints", plan(), cache=store)
    assert num_deaths == 5
    assert_same(outcome, undisturbed)


def test_a_training_goes_on_without_the_cache_that_it_began_with(
    training_data: TrainingData, undisturbed: Outcome, store: Store, die_at: list[int], tmp_path: Path
) -> None:
    """Where its folder is lost, it is filled again; where there can be none, the images are as good."""
    auto = plan(cache="auto")
    die_at.append(5)
    with pytest.raises(Killed):
        train(training_data, tmp_path / "checkpoints", plan(), cache=store)
    with pytest.warns(UserWarning, match="began with the cache and goes on without it: it cannot be read or written"):
        outcome = train(training_data, tmp_path / "checkpoints", auto, cache=Store(Path("/proc/thaw"), 2**26))
    assert_same(outcome, undisturbed)
    use = outcome.records[0].cache
    assert use is not None and not use.is_used and "/proc/thaw" in use.why


def test_a_disk_that_fills_up_while_damage_is_mended_costs_the_cache_and_not_the_training(
    training_data: TrainingData, undisturbed: Outcome, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the phase's own cache; the next phase finds no room either."""
    train(training_data, None, plan(), cache=store)
    original, num_reads = Entry.read, 0

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def read(entry: Entry, numbers: np.ndarray) -> np.ndarray:
        nonlocal num_reads
        num_reads += 1
        if num_reads == 8:
            for path in store.folder.glob("entries/*/shard-*.rows"):
                path.write_bytes(b"")
            monkeypatch.setattr(Entry, "write", full)
        return original(entry, numbers)

    monkeypatch.setattr(Entry, "read", read)
    with pytest.warns(UserWarning, match=r"goes on without it: it cannot be read or written .*No space left"):
        outcome = train(training_data, None, plan(cache="auto"), cache=store)
    assert num_reads >= 8
    assert_same(outcome, undisturbed)


def test_sigterm_in_the_pass_ends_it_and_the_next_start_goes_on(
    training_data: TrainingData,
    undisturbed: Outcome,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entries, "_MAX_ROWS_PER_SHARD", 16)
    original = Entry.write

    def write(entry: Entry, *arguments: Any) -> None:
        original(entry, *arguments)
        if not entry.folder.name.startswith("."):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Entry, "write", write)
    with pytest.raises(Interrupted, match="in phase 'head' after step 0"):
        train(training_data, tmp_path / "checkpoints", plan(), cache=store)
    monkeypatch.setattr(Entry, "write", original)
    assert len(list(store.folder.glob("entries/*/shard-*.rows"))) == 1
    assert_same(train(training_data, tmp_path / "checkpoints", plan(), cache=store), undisturbed)


def test_a_required_cache_without_a_folder_is_an_error(training_data: TrainingData) -> None:
    with pytest.raises(ThawError, match=r"cache is require, but .* no folder was given"):
        train(training_data, None, plan())


def start(data: TrainingData, folder: Path, name: str, *arguments: str) -> subprocess.Popen[str]:
    """Trains in a process of its own, with the cache of all; see train_once.py."""
    job = {
        "settings": plan().model_dump(mode="json"),
        "train": str(Path(data.train.files[0]).parent),
        "eval": str(Path(data.eval.files[0]).parent),
        "checkpoints": str(folder / name),
        "result": str(folder / f"{name}.npz"),
        "cache": str(folder / "cache"),
    }
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("train_once.py")), json.dumps(job), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_two_processes_and_one_that_was_killed_in_the_pass_share_a_cache(
    training_data: TrainingData, undisturbed: Outcome, tmp_path: Path
) -> None:
    """The first is killed while it fills the cache; then it goes on while another begins."""
    killed = start(training_data, tmp_path, "first", "shard", "3")
    _, errors = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, errors
    both = {name: start(training_data, tmp_path, name) for name in ("first", "second")}
    for name, process in both.items():
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        with np.load(tmp_path / f"{name}.npz") as weights:
            for path, value in undisturbed.weights.items():
                np.testing.assert_array_equal(weights[path], value, err_msg=path)
    # Two views and the eval split for the first phase; the images and the eval split for the second.
    assert len(list((tmp_path / "cache" / "entries").iterdir())) == 5
