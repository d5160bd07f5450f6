"""A cache that cannot be used: `auto` trains without and says so, `require` is an error, and nothing is spoilt."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cached import OnImages, assert_same, plan, train
from read_only import read_only
from tiny import fine_tune_phase, head_phase

from trainer import progress
from trainer.activation_cache import deciding, entries, shards
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.planning import Costs, Decision
from trainer.activation_cache.store import Store
from trainer.errors import ThawError
from trainer.training import TrainingData


@pytest.fixture
def it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """On images as small as these it would not."""
    monkeypatch.setattr(deciding, "decide", lambda *_: Decision(True, "it is to be tried"))
    monkeypatch.setattr(deciding, "measure", lambda _, wanted: [(Costs(1, 0, 0), "none")] * len(wanted))


@pytest.fixture(params=["read-only", "a file in its place"])
def folder_without_writing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "cache"
    if request.param == "read-only":
        folder.mkdir()
        with read_only(folder) as tried:
            yield folder
        assert tried
        assert not list(folder.iterdir())
    else:
        folder.write_text("")
        yield folder


@pytest.mark.slow
def test_where_nothing_can_be_written_auto_trains_without_and_says_so(
    folder_without_writing: Path, training_data: TrainingData, on_images: OnImages
) -> None:
    reports: list[progress.Progress] = []
    with progress.listening(reports.append):
        found = train(plan(cache="auto"), training_data, Store(folder_without_writing, 2**26))
    assert_same(found, on_images(plan(), 1))
    remarks = [report.note for report in reports if report.unit == progress.REMARKS]
    for phase, record, words in zip(("head", "fine_tune"), found[1], remarks, strict=True):
        assert record.cache is not None and not record.cache.is_used
        assert words.startswith(f"{phase} without the cache: ")
        assert str(folder_without_writing) in words
        assert "Read-only file system" in words or "Not a directory" in words or "File exists" in words


def test_where_nothing_can_be_written_a_required_cache_is_an_error(
    folder_without_writing: Path, training_data: TrainingData
) -> None:
    words = r"model.cache is require, but phase 'head' cannot use .*(Read-only file system|Not a directory|File exists)"
    with pytest.raises(ThawError, match=words):
        train(plan(), training_data, Store(folder_without_writing, 2**26))


@pytest.mark.slow
def test_a_full_cache_that_cannot_be_written_to_is_read(
    training_data: TrainingData, store: Store, computed: list[int], on_images: OnImages
) -> None:
    """And what is damaged in it costs the phase its cache, not the training its result."""
    train(plan(), training_data, store)
    computed.clear()
    with read_only(store.folder):
        assert_same(train(plan(), training_data, store), on_images(plan(), 1))
        assert not computed
    for path in store.folder.glob("entries/*/shard-*.rows"):
        path.write_bytes(b"")
    with read_only(store.folder):
        assert_same(train(plan(cache="auto"), training_data, store), on_images(plan(), 1))
        with pytest.raises(ThawError, match="Read-only file system"):
            train(plan(), training_data, store)


@pytest.mark.slow
def test_a_disk_that_fills_up_in_the_pass_ends_the_cache_and_not_the_training(
    training_data: TrainingData, store: Store, on_images: OnImages, it_pays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it comes to writing the third shard; the disk is not left full."""
    monkeypatch.setattr(entries, "_MAX_ROWS_PER_SHARD", 16)
    original, num_flushed = shards.flush, 0

    def flush(path: Path) -> None:
        nonlocal num_flushed
        num_flushed += path.name.startswith(shards.TEMPORARY)
        if num_flushed >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path)

    monkeypatch.setattr(shards, "flush", flush)
    found = train(plan(cache="auto"), training_data, store)
    assert num_flushed == 4, "the next phase tries anew"
    assert_same(found, on_images(plan(), 1))
    assert all(record.cache is not None and "No space left" in record.cache.why for record in found[1])
    assert not [path for path in store.folder.rglob("*") if path.is_file() and path.parent.name != "locks"]
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


@pytest.mark.slow
def test_what_a_training_reads_is_not_thrown_out_for_another(
    training_data: TrainingData, store: Store, on_images: OnImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the middle of a phase; when the phase is over, it is, the least recently used first."""
    original, asked = Entry.read, list[tuple[bool, int]]()

    def read(entry: Entry, numbers: np.ndarray) -> np.ndarray:
        if not entry.folder.name.startswith(".trial"):
            with Store(store.folder, store.num_bytes()).room_for({"another": 1}) as obstacle:
                asked.append((obstacle is None, len(list(store.folder.glob("entries/*")))))
        return original(entry, numbers)

    monkeypatch.setattr(Entry, "read", read)
    monkeypatch.setattr(deciding, "_comes_along", lambda *_: False)
    phases = (head_phase(), fine_tune_phase())
    assert_same(train(plan(phases=phases), training_data, store), on_images(plan(phases=phases), 1))
    num_batches = 4 + 2
    assert asked[:num_batches] == [(False, 2)] * num_batches
    assert asked[num_batches:] == [(True, 3), (True, 2)] + [(False, 2)] * (num_batches - 2)


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
    on_images: OnImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three shards that were written; where the pass fills two entries, the second is the other's."""
    monkeypatch.setattr(deciding, "_comes_along", lambda *_: with_next)
    monkeypatch.setattr(entries, "_MAX_ROWS_PER_SHARD", 16)
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
    assert_same(train(plan(), training_data, store), on_images(plan(), 1))
    assert computed[0] == num_left
