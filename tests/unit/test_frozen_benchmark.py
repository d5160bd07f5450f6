"""What the benchmark of frozen layers computes; the measurements themselves run on request."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import frozen, frozen_figures
from benchmarks.figures import Figure, Goal, write_results
from benchmarks.frozen_arithmetic import limit_in_passes, multiply_adds, split_at
from benchmarks.frozen_picture import draw, parts_of
from benchmarks.frozen_plan import BACKBONE, FULL, SMOKE, TWO_THIRDS
from benchmarks.stopwatch import Stopwatch
from trainer.boundaries import blocks_of


def test_the_limit_is_three_times_the_work_above_in_each_epoch_and_one_pass_below() -> None:
    assert limit_in_passes(below=60, above=40, num_train=100, num_evaluated=0, num_epochs=10) == pytest.approx(12.6)
    assert limit_in_passes(60, 40, 50, 50, 10) == pytest.approx(0.6 + 0.4 * 10 * (3 + 1) / 2)
    assert limit_in_passes(100, 0, 80, 20, 10) == 1


def test_multiply_adds_are_those_of_the_paper() -> None:
    """Sandler et al. 2018, table 4: 300 million for MobileNetV2 at 224², 1.3 million of them in the last layer."""
    import keras

    model = keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
    by_layer = multiply_adds(model)
    assert sum(by_layer.values()) == pytest.approx(300e6, rel=0.01)
    assert by_layer["predictions"] == 1280 * 1000
    assert by_layer["Conv1"] == 112 * 112 * 27 * 32
    layers = [layer.name for layer in model.layers]
    below, above = split_at(by_layer, layers, layers.index("predictions"))
    assert (above, below) == (1_280_000, sum(by_layer.values()) - 1_280_000)


def test_the_boundaries_that_are_measured_are_blocks_of_the_backbone() -> None:
    import keras

    backbone = getattr(keras.applications, BACKBONE)(include_top=False, weights=None)
    names = [block.name for block in blocks_of(backbone)]
    assert {*FULL.boundaries, *SMOKE.boundaries} <= {*names}
    assert names.index(TWO_THIRDS) > len(names) / 2


def test_seconds_count_for_the_innermost_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr("benchmarks.stopwatch.time.perf_counter", lambda: now_s)

    class Work:
        def outer(self) -> None:
            nonlocal now_s
            now_s += 1
            self.inner()
            now_s += 2

        def inner(self) -> None:
            nonlocal now_s
            now_s += 10

    watch = Stopwatch()
    watch.watch(Work, "outer", "outer")
    watch.watch(Work, "inner", "inner", part_of_first="first")
    Work().outer()
    Work().inner()
    assert watch.parts_s == {"outer": 3, "inner": 10, "first": 10}


def phase2_results(with_s: float) -> dict[str, Any]:
    """As if a pass over 2,000 images took 20 s, and 40 of 100 multiply-adds lay above the boundary."""
    runs = {
        "with": {"seconds": with_s, "parts_s": {"steps": 200.0}},
        "without": {"seconds": 500.0},
        "in memory": {"seconds": 0.4, "step_s": 0.4, "evaluation_step_s": 0.1},
    }
    one_pass = {"bare_s": 20.0, "num_train": 2000, "num_eval": 0, "multiply_adds": {TWO_THIRDS: (60, 40)}}
    return {"pass": one_pass, "boundaries": {TWO_THIRDS: runs}}


@pytest.mark.parametrize(("with_s", "holds"), [(320.0, True), (330.0, False)])
def test_the_boundary_with_a_goal_is_held_against_the_arithmetic_limit(with_s: float, holds: bool) -> None:
    figures = frozen_figures.figures_of({"phase2": phase2_results(with_s)}, FULL)
    (judged,) = (figure for figure in figures if figure.goal)
    assert judged.name == "phase2: from block_11 up, with / arithmetic limit"
    assert judged.value == pytest.approx(with_s / (20 * 12.6))
    assert judged.holds is holds
    values = {figure.name: figure.value for figure in figures}
    memory = "phase2: from block_11 up, kernels above on activations in memory, and one pass below"
    assert values[memory] == pytest.approx(63 * 10 * 0.4 + 20 * 0.6)


def test_the_other_sections_of_an_earlier_run_stay(tmp_path: Path) -> None:
    rows = [Figure("phase1: thaw", 9.0, "s"), Figure("whole: thaw", 80.5, "s", Goal("<=", 90))]
    path = write_results("frozen", rows, {}, tmp_path)
    assert frozen.kept_rows(path, ["phase1"]) == rows[1:]
    assert frozen.kept_rows(tmp_path / "none.json", ["phase1"]) == []


def test_the_picture_has_a_bar_for_each_measurement_with_parts(tmp_path: Path) -> None:
    figures = frozen_figures.figures_of({"phase2": phase2_results(320.0)}, FULL)
    rows = json.loads(write_results("frozen", figures, {}, tmp_path).read_text())
    assert parts_of(rows) == {"phase2: from block_11 up": {"steps": 200.0}}
    draw(rows, tmp_path / "images" / "frozen.png")
    assert (tmp_path / "images" / "frozen.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_phase_1_of_the_benchmark_runs_through(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    frozen.main(["--smoke", "--only", "phase1", "--results", str(tmp_path)])
    assert "phase1: Keras fit / thaw" in capsys.readouterr().out
    names = [row["name"] for row in json.loads((tmp_path / "frozen.json").read_text())]
    assert "phase1: thaw, part: the pass through the frozen layers" in names
