"""The searches for learning rates and freeze boundaries read from the cache, and find what they find without."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of

from trainer.activation_cache import deciding
from trainer.activation_cache.planning import Decision
from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.devices import make_strategy
from trainer.feeds import PixelFeed
from trainer.search.survey import survey
from trainer.settings import ModelSettings
from trainer.training import PhaseRecord, TrainingData, fine_tune

pytestmark = pytest.mark.slow


def plan() -> ModelSettings:
    phases = (
        head_phase(epochs=2, learning_rate="auto"),
        fine_tune_phase(epochs=2, unfreeze="auto", trial_steps=5, allow_higher_learning_rate=True),
    )
    return settings(phases=phases)


def train(data: TrainingData, store: Store | NoStore) -> tuple[Weights, tuple[PhaseRecord, ...]]:
    model, records = fine_tune(plan(), data, make_strategy(1), lambda _: None, cache=store)
    return weights_of(model), records


@pytest.fixture(autouse=True)
def _it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """On images as small as these it would not."""
    monkeypatch.setattr(deciding, "decide", lambda *_: Decision(True, "it is to be tried"))


@pytest.fixture
def on_pixels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why trainings and trials went through the images."""
    found: list[str] = []
    original = PixelFeed.__init__

    def note(feed: PixelFeed, *arguments: Any) -> None:
        original(feed, *arguments)
        found.append(feed.use.why)

    monkeypatch.setattr(PixelFeed, "__init__", note)
    return found


def test_searches_with_the_cache_find_the_same(
    training_data: TrainingData, tmp_path: Path, computed: list[int], on_pixels: list[str]
) -> None:
    """And so the weights are the same, bit for bit; the boundary with nothing below it does without."""
    expected_weights, expected = train(training_data, NO_STORE)
    assert not computed
    on_pixels.clear()
    weights, records = train(training_data, Store(tmp_path, 2**26))
    for path, value in expected_weights.items():
        np.testing.assert_array_equal(weights[path], value, err_msg=path)
    for found, wanted in zip(records, expected, strict=True):
        assert found.search is not None
        assert wanted.search is not None
        assert found.search.rate == wanted.search.rate
        if found.search.depth is not None and wanted.search.depth is not None:
            trials = [
                [dataclasses.replace(trial, duration_s=0.0) for trial in search.trials]
                for search in (found.search.depth, wanted.search.depth)
            ]
            assert trials[0] == trials[1]
    num_rows = training_data.train.num_examples + 1 + training_data.eval.num_examples + 1
    assert computed[:2] == [training_data.train.num_examples + 1, training_data.eval.num_examples + 1]
    assert set(on_pixels) == {"no frozen layer with weights lies below the freeze boundary"}
    # Sweeps and the phase share entries; and each boundary's are computed once.
    boundaries = {str(trial.unfreeze) for trial in expected[1].search.depth.trials}  # type: ignore[union-attr]
    assert sum(computed) <= num_rows * len(boundaries)


def test_the_survey_reads_from_the_cache(
    training_data: TrainingData, tmp_path: Path, computed: list[int], on_pixels: list[str]
) -> None:
    phases = (head_phase(epochs=2), fine_tune_phase())
    expected = survey(settings(phases=phases), training_data, make_strategy(1))
    on_pixels.clear()
    assert survey(settings(phases=phases), training_data, make_strategy(1), Store(tmp_path, 2**26)) == expected
    assert computed
    assert not on_pixels
