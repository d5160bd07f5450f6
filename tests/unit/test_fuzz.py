"""Damaged photographs are decoded or refused."""

import time

import numpy as np
import pytest

from benchmarks import fuzz
from benchmarks.mutations import mutate
from benchmarks.zoo import make_zoo
from trainer.photographs import read_header


def test_the_same_seed_gives_the_same_cases() -> None:
    assert list(fuzz.cases(100)) == list(fuzz.cases(100))
    assert list(fuzz.cases(100)) != list(fuzz.cases(100, seed=1))


def test_damage_of_every_kind_changes_files_and_leaves_some_readable() -> None:
    zoo, random = make_zoo(), np.random.default_rng(0)
    jpeg = zoo["jpeg"]
    damaged = [mutate(jpeg, list(zoo.values()), random) for _ in range(200)]
    assert {kind for kind, _ in damaged} == set(fuzz.mutate.__globals__["_KINDS"])
    assert sum(content != jpeg for _, content in damaged) > 190
    assert read_header(jpeg).format == fuzz.format_of("jpeg")


@pytest.mark.slow
def test_a_worker_that_dies_or_hangs_is_told_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "work", _die_or_hang)
    monkeypatch.setattr(fuzz, "START_LIMIT_S", 15.0)
    worker = fuzz.Worker()
    try:
        assert worker.ask(b"die").outcome == fuzz.CRASHED
        assert worker.ask(b"hang").outcome == fuzz.HUNG
        assert worker.ask(b"fine").outcome == "fine"
    finally:
        worker.close()


def _die_or_hang(connection: fuzz.Connection) -> None:
    message = connection.recv_bytes()
    if message == b"die":
        raise SystemExit(1)
    if message == b"hang":
        time.sleep(120)
    connection.send(fuzz.Answer("fine", 0.0, 0))


@pytest.mark.slow
def test_six_hundred_damaged_photographs_are_decoded_or_refused() -> None:
    tally = fuzz.run(fuzz.cases(600))
    assert tally.defects == []
    assert tally.counts.total() > 590
    assert 0 < tally.peak_mib < fuzz.MEMORY_GOAL_MIB
    decoded = sum(count for (_, outcome), count in tally.counts.items() if outcome in fuzz.DECODED)
    assert 50 < decoded < 550
