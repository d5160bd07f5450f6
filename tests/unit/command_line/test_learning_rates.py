"""What `thaw lr` and `thaw show` say of searches."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pipeline.cli.learning_rates import next_overrides, rates_table, remarks
from pipeline.cli.search_tables import print_search
from trainer.phase_settings import PhaseSettings
from trainer.search.plots import draw_rate_searches
from trainer.search.rate_curves import Sweep
from trainer.search.rate_finder import summarize
from trainer.search.results import RateSearch
from trainer.search.survey import SurveyedPhase

RATES = tuple(map(float, np.geomspace(1e-6, 10, 100)))
FALLING = summarize([Sweep(RATES, tuple(1.0 if rate < 1e-4 else abs(np.log10(rate) + 1) / 3 for rate in RATES))] * 3)
FLAT = summarize([Sweep(RATES, (1.0,) * 100)] * 3)


def surveyed(name: str, search: RateSearch, **changes: Any) -> SurveyedPhase:
    phase = PhaseSettings(name=name, epochs=1, learning_rate=0.5)
    values = {"configured": 0.5, "suggested": search.rate, "note": "", **changes}
    return SurveyedPhase(phase, search=search, **values)


def printed(content: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(content)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_each_phase_is_a_line_with_what_is_configured_and_what_is_suggested() -> None:
    text = printed(rates_table([surveyed("head", FALLING), surveyed("fine_tune", FLAT, configured="auto")]))
    (head,) = [line for line in text.splitlines() if line.startswith("head")]
    (tuned,) = [line for line in text.splitlines() if line.startswith("fine_tune")]
    assert head.split()[1:3] == ["0.5", f"{FALLING.rate:g}"]
    assert head.endswith("halfway down the fall  ") or "halfway down the fall" in head
    assert tuned.split()[1:3] == ["auto", "–"]


def test_a_silent_curve_is_remarked_on_and_its_rate_left_alone() -> None:
    found = [surveyed("head", FALLING), surveyed("fine_tune", FLAT)]
    assert "the curve of phase 'fine_tune' suggests nothing: the loss stayed at 1" in remarks(found)[0]
    assert next_overrides([], found) == [f"model.phases.0.learning_rate={FALLING.rate:g}"]


def test_suggestions_replace_overrides_of_the_same_rates_and_keep_the_others() -> None:
    given = ["model.seed=1", "model.phases.0.learning_rate=3"]
    assert next_overrides(given, [surveyed("head", FALLING)]) == [
        "model.seed=1",
        f"model.phases.0.learning_rate={FALLING.rate:g}",
    ]


def test_the_picture_has_a_panel_per_phase(tmp_path: Path) -> None:
    path = tmp_path / "rates.png"
    draw_rate_searches({"head": (FALLING, FALLING.rate)}, path)
    with Image.open(path) as image:
        one = image.height
    nan = RateSearch((Sweep(RATES[:1], (float("nan"),)),), reason="not a number")
    draw_rate_searches({"head": (FALLING, FALLING.rate), "flat": (FLAT, None), "nan": (nan, None)}, path)
    with Image.open(path) as image:
        assert image.width == 900
        assert image.height > 2 * one


@pytest.fixture(name="phase")
def _phase() -> dict[str, Any]:
    """As a training record has it."""
    trials = [
        {"where": where, "num_trained_parameters": number, "learning_rate": 0.001, "eval_log_loss": loss}
        | {"eval_accuracy": 0.9, "excess": excess, "standard_error": 0.01, "duration_s": 1.5}
        for where, number, loss, excess in (
            ("none", 10, 0.3, 0.1),
            ("from block4 up", 99, 0.2, 0.0),
            ("all", 999, None, None),
        )
    ]
    rate = {"rate": 0.002, "lowest": 0.001, "highest": 0.003, "sweeps": [{}, {}, {}]}
    depth = {"trials": trials, "chosen": 1, "num_steps": 200}
    return {
        "name": "fine_tune",
        "learning_rate": 0.001,
        "search": {"rate": rate, "depth": depth, "note": "it was lowered"},
    }


def test_show_prints_the_rate_that_was_found_and_every_boundary_that_was_tried(phase: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=160)
    print_search(console, phase)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "learning rate of fine_tune: 0.001; searched: 0.002 (0.001 to 0.003 over 3 sweeps)" in text
    assert "How deep to unfreeze in fine_tune: 200 steps each" in text
    (taken,) = [line for line in text.splitlines() if "← taken" in line]
    assert taken.startswith("from block4 up")
    assert "the best" in taken
    assert "0.1000 ± 0.0100" in text
    assert "diverged" in text
    assert "! it was lowered" in text


def test_show_says_nothing_where_all_was_stated(phase: dict[str, Any]) -> None:
    for search in ({}, {"search": None}):
        console = Console(file=io.StringIO())
        print_search(console, {**phase, "search": None} | search)
        assert console.file.getvalue() == ""  # type: ignore[attr-defined]
