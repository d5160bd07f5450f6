"""The simulations of the gate, in small."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import gate, gate_simulations
from benchmarks.figures import without_goals
from benchmarks.gate_worlds import make_world
from components.gate.statistics.metrics import value_of


def test_equal_models_are_equal_and_the_other_world_has_a_better_one() -> None:
    world = make_world("unbalanced", advantage=0.3)
    first, second = (value_of("accuracy", world.answers(model)) for model in (0, 1))
    assert 0.05 < first - second < 0.12
    random = np.random.default_rng(0)
    pairs = [world.draw(500, random, are_equal=True) for _ in range(200)]
    gains = [value_of("accuracy", ours) - value_of("accuracy", theirs) for ours, theirs in pairs]
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(200)
    assert np.bincount(world.truth)[0] > 5 * np.bincount(world.truth)[-1]
    few_errors = make_world("few errors", advantage=0.3)
    assert value_of("accuracy", few_errors.answers(1)) > 0.97


def test_simulations_repeat_themselves() -> None:
    arguments = ("log_loss", 50, "balanced", 20, 200)
    assert gate_simulations.equal_models(*arguments) == gate_simulations.equal_models(*arguments)


def test_thaw_rarely_approves_equal_models_and_tfma_approves_half_of_them() -> None:
    rates = gate_simulations.equal_models("accuracy", 200, "balanced", 1000, 200)
    assert rates.thaw <= gate.most_false_approvals(1000) / 100
    assert 0.45 < rates.tfma < 0.7


def test_a_gate_without_the_bound_would_miss_the_goal() -> None:
    rates = gate_simulations.power(200, 0.0, 1000)
    cell = gate.Cell(("equal", "accuracy"), gate_simulations.power, (), 1000)
    spoilt = gate_simulations.Rates(rates.tfma, rates.tfma)
    assert gate.figures_of([cell], {cell.key: rates})[0].holds
    assert not gate.figures_of([cell], {cell.key: spoilt})[0].holds


def test_power_grows_with_gain_and_size() -> None:
    rates = [gate_simulations.power(size, gain, 2000).thaw for size, gain in ((200, 0.02), (200, 0.06), (1000, 0.06))]
    assert rates == sorted(rates) and rates[-1] > 0.95


def test_a_class_that_has_lost_is_found_by_thaw_and_passed_over_by_tfma() -> None:
    found = gate_simulations.planted_regression(10_000, 0.2, 50)
    assert found.thaw_refuses > 0.95 and found.tfma_refuses < 0.05
    small = gate_simulations.planted_regression(200, 0.2, 50)
    assert small.thaw_refuses < 0.5 and small.thaw_does_not_pass > 0.9


@pytest.mark.slow
def test_a_trial_prints_all_tables_and_writes_what_it_is_told_to(tmp_path: Path) -> None:
    cells = gate.plan_of(0.005, sizes=(50,))
    results = gate.run_all(cells, Console())
    figures = gate.figures_of(cells, results)
    assert {cell.key[0] for cell in cells} == {"equal", "coverage", "power", "planted"}
    assert all(figure.value is not None and 0 <= figure.value <= 100 for figure in without_goals(figures))
    for kind in ("equal", "coverage", "power", "planted"):
        assert gate.table_of(kind, cells, results, kind).row_count == sum(cell.key[0] == kind for cell in cells)
    gate.draw(results, (50,), tmp_path / "gate.png")
    assert (tmp_path / "gate.png").read_bytes().startswith(b"\x89PNG")
