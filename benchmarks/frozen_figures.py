"""The rows of `benchmarks.frozen`: each section's, its name before the colon."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from benchmarks.figures import Figure, Goal, Relation, ratio
from benchmarks.frozen_arithmetic import limit_in_passes
from benchmarks.frozen_plan import TWO_THIRDS, Plan

Results = Mapping[str, Any]
PART = ", part: "


@dataclass(frozen=True)
class Boundary:
    """What a freeze boundary costs, in seconds.

    Attributes:
        name: of the first unfrozen block.
        with_s: with the cache, all included.
        without_s: without.
        limit_s: by multiply-adds, at the rate of a plain forward pass over all layers.
        measured_limit_s: what the steps take with activations in memory, and one pass below.
        parts_s: where the seconds with the cache go.
    """

    name: str
    with_s: float
    without_s: float
    limit_s: float
    measured_limit_s: float
    parts_s: Mapping[str, float]


def figures_of(results: Results, plan: Plan) -> list[Figure]:
    """All rows.

    Args:
        results: by section, see `benchmarks.frozen`.
        plan: of the run.
    """
    made = {"phase1": _phase1, "phase2": _phase2, "whole": _whole, "scaling": _scaling}
    return [figure for section, found in results.items() for figure in made[section](found, plan)]


def _phase1(found: Results, _plan: Plan) -> list[Figure]:
    ours, theirs = found["thaw"]["seconds"], found["keras"]["seconds"]
    one_pass = found["pass"]["seconds"]
    return [
        Figure("phase1: one plain forward pass, model and graph included", one_pass, "s"),
        Figure("phase1: one plain forward pass, bare", found["pass"]["bare_s"], "s"),
        Figure("phase1: thaw", ours, "s"),
        Figure("phase1: Keras fit without a cache", theirs, "s"),
        *_parts("phase1: thaw", found["thaw"]["parts_s"]),
        Figure("phase1: thaw / one plain forward pass", ratio(ours, one_pass), "", Goal("<=", 1.3)),
        Figure("phase1: Keras fit / thaw", ratio(theirs, ours), "", Goal(">=", 7)),
    ]


def boundaries_of(found: Results, plan: Plan) -> list[Boundary]:
    """The rows of the table."""
    one_pass = found["pass"]
    num_train, num_eval, bare_s = one_pass["num_train"], one_pass["num_eval"], one_pass["bare_s"]
    num_steps = -(-num_train // plan.batch_size) * plan.num_epochs
    num_evaluations = -(-num_eval // plan.batch_size) * plan.num_epochs
    rows = []
    for name, runs in found["boundaries"].items():
        below, above = one_pass["multiply_adds"][name]
        memory = runs["in memory"]
        kernels_s = num_steps * memory["step_s"] + num_evaluations * memory["evaluation_step_s"]
        rows.append(
            Boundary(
                name,
                runs["with"]["seconds"],
                runs["without"]["seconds"],
                bare_s * limit_in_passes(below, above, num_train, num_eval, plan.num_epochs),
                kernels_s + bare_s * below / (below + above),
                runs["with"]["parts_s"],
            )
        )
    return rows


def _phase2(found: Results, plan: Plan) -> list[Figure]:
    rows = []
    for each in boundaries_of(found, plan):
        name = f"phase2: from {each.name} up"
        goal = Goal("<=", 1.3) if each.name == TWO_THIRDS else None
        rows += [
            Figure(f"{name}, with the cache", each.with_s, "s"),
            Figure(f"{name}, without", each.without_s, "s"),
            Figure(f"{name}, arithmetic limit", each.limit_s, "s"),
            Figure(f"{name}, kernels above on activations in memory, and one pass below", each.measured_limit_s, "s"),
            *_parts(name, each.parts_s),
            Figure(f"{name}, without / with", ratio(each.without_s, each.with_s), ""),
            Figure(f"{name}, with / kernels and one pass", ratio(each.with_s, each.measured_limit_s), ""),
            Figure(f"{name}, with / arithmetic limit", ratio(each.with_s, each.limit_s), "", goal),
        ]
    return rows


def _parts(name: str, parts_s: Mapping[str, float]) -> list[Figure]:
    return [Figure(f"{name}{PART}{part}", seconds, "s") for part, seconds in parts_s.items()]


def _whole(found: Results, _plan: Plan) -> list[Figure]:
    ours = found["thaw"]
    rows = []
    for name, run in found.items():
        rows.append(Figure(f"whole: {name}", run["seconds"], "s"))
        rows.append(Figure(f"whole: {name}, accuracy on its eval split", run["eval_accuracy"], ""))
        rows.append(Figure(f"whole: {name}, peak memory", run["peak_memory_mib"], "MiB"))
        rows += _parts(f"whole: {name}", run["durations_s"])
    goals = {"script": Goal(">=", 3), "script, cached": Goal(">", 1), "stock TFX": Goal(">", 1)}
    return rows + [
        Figure(f"whole: {name} / thaw", ratio(found[name]["seconds"], ours["seconds"]), "", goal)
        for name, goal in goals.items()
    ]


def _scaling(found: Results, _plan: Plan) -> list[Figure]:
    rows = []
    for size, run in found.items():
        rows.append(Figure(f"scaling: {int(size):,} photographs", run["seconds"], "s"))
        rows.append(Figure(f"scaling: {int(size):,} photographs, peak memory", run["peak_memory_mib"], "MiB"))
    small, *_, large = found.values()
    flat = ratio(large["peak_memory_mib"], small["peak_memory_mib"])
    return [*rows, Figure("scaling: peak memory, largest / smallest", flat, "", Goal("<=", 1.2))]


def from_json(row: Mapping[str, Any]) -> Figure:
    """A row as `benchmarks.figures.Figure.to_json` keeps it."""
    goal = None
    if row["goal"]:
        relation, threshold = row["goal"].split()
        goal = Goal(cast(Relation, relation), float(threshold))
    return Figure(row["name"], row["value"], row["unit"], goal)
