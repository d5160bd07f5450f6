"""Work on frozen layers done once: phase 1 and phase 2 with and without the cache, whole runs, and growing data.

Weights are random but seeded, since the benchmark loads nothing from elsewhere; in whole runs their batch
normalisations have the statistics of photographs, so that there is something to learn. Each measurement is a process
of its own. `--only` takes one section or several; the rows of the others stay as they were.
"""

import json
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import frozen_figures
from benchmarks.figures import RESULTS, Figure
from benchmarks.frozen_data import tinted_folder
from benchmarks.frozen_picture import draw
from benchmarks.frozen_plan import FULL, SECTIONS, SMOKE, TWO_THIRDS, Plan
from benchmarks.isolation import Measurement, run_isolated
from benchmarks.photographs import warm_up
from benchmarks.reporting import at_least_one, finish, parser_of, shown

_VARIANTS, _WHOLE = "benchmarks.frozen_variants", "benchmarks.frozen_whole"
_SPLITS = {"train": 75, "eval": 15, "test": 10}
_PICTURE = Path(__file__).parent.parent / "docs" / "images" / "frozen.png"
# A round of these takes longer than ten minutes at full size.
_SLOW = ("script", "script, cached", "stock TFX")

Results = dict[str, Any]


class Runner:
    """Runs cases with a line each."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan, self._console = plan, console

    def run(self, what: str, module: str, case: Mapping[str, Any]) -> Results:
        """What a case reported, with its "wall_s" and "peak_memory_mib"."""
        with self._console.status(f"{what} …"):
            started_at_s = time.monotonic()
            found: Measurement = run_isolated(module, json.dumps(case))
            wall_s = time.monotonic() - started_at_s
        took = found.result.get("duration_s", wall_s)
        self._console.print(f"{what:44} {took:8.1f} s  {found.peak_memory_mib:7,.0f} MiB", soft_wrap=True)
        return {**found.result, "wall_s": wall_s, "peak_memory_mib": found.peak_memory_mib}

    def data(self, num_photographs: int) -> str:
        """The folder of the training data of so many photographs."""
        with self._console.status(f"making {num_photographs:,} photographs …"):
            photographs = tinted_folder(num_photographs)
        folder = photographs.with_name(f"{photographs.name}-{self.plan.image_size_px}px")
        case = self.plan.case("data", str(photographs), folder=str(folder))
        self.run(f"training data of {num_photographs:,}", _VARIANTS, case)
        return str(folder)


def phase1(runner: Runner, num_rounds: int) -> Results:
    """A head on the frozen backbone, against one forward pass and against Keras's fit."""
    plan, data = runner.plan, runner.data(runner.plan.num_photographs)
    found: dict[str, list[Results]] = {"pass": [], "thaw": [], "keras": []}
    for number in range(num_rounds):
        kinds = list(found) if number % 2 == 0 else list(found)[::-1]
        for kind in kinds:
            case = plan.case(kind, data, boundaries=[], with_cache=True)
            found[kind].append(runner.run(f"phase 1: {kind}", _VARIANTS, case))
    return {kind: _median_of(runs, "duration_s") for kind, runs in found.items()}


def phase2(runner: Runner, num_rounds: int) -> Results:
    """Each boundary with and without the cache, and the steps above it in memory."""
    plan, data = runner.plan, runner.data(runner.plan.num_photographs)
    passes = [
        runner.run("phase 2: pass", _VARIANTS, plan.case("pass", data, boundaries=plan.boundaries))
        for _ in range(num_rounds)
    ]
    found: Results = {"pass": _median_of(passes, "bare_s"), "boundaries": {}}
    for boundary in plan.boundaries:
        runs: dict[str, list[Results]] = {"with": [], "without": [], "in memory": []}
        for _ in range(num_rounds):
            for name in runs:
                kind = "in memory" if name == "in memory" else "thaw"
                case = plan.case(kind, data, boundary=boundary, with_cache=name == "with")
                runs[name].append(runner.run(f"phase 2 from {boundary} up: {name}", _VARIANTS, case))
        keys = {"in memory": "step_s"}
        found["boundaries"][boundary] = {
            name: _median_of(each, keys.get(name, "duration_s")) for name, each in runs.items()
        }
    return found


def whole(runner: Runner, num_rounds: int) -> Results:
    """From photographs to exported models."""
    plan = runner.plan
    photographs = tinted_folder(plan.num_photographs)
    common: Results = {"photographs": str(photographs), "splits": _SPLITS, "boundary": TWO_THIRDS}
    made = runner.run("whole: weights", _WHOLE, plan.case("weights", "", photographs=str(photographs)))
    common["weights"] = made["weights"]
    found: Results = {}
    for name in ("thaw", *_SLOW):
        kind = "script" if name.startswith("script") else name
        case = plan.case(kind, "", **common, is_cached=name.endswith("cached"))
        runs = []
        for _ in range(1 if name in _SLOW else num_rounds):
            warm_up(photographs)
            runs.append(runner.run(f"whole: {name}", _WHOLE, case))
        found[name] = _median_of(runs, "wall_s")
    return found


def scaling(runner: Runner, num_rounds: int) -> Results:
    """Phase 1 on more and more photographs."""
    found = {}
    for size in runner.plan.sizes:
        data = runner.data(size)
        case = runner.plan.case("thaw", data, with_cache=True)
        runs = [runner.run(f"scaling: {size:,} photographs", _VARIANTS, case) for _ in range(num_rounds)]
        found[str(size)] = _median_of(runs, "duration_s")
    return found


_RUNS: Mapping[str, Callable[[Runner, int], Results]] = {
    "phase1": phase1,
    "phase2": phase2,
    "whole": whole,
    "scaling": scaling,
}


def _median_of(runs: Sequence[Results], key: str) -> Results:
    """The run in the middle, and the median as its "seconds"."""
    ordered = sorted(runs, key=lambda run: float(run[key]))
    return {**ordered[(len(ordered) - 1) // 2], "seconds": statistics.median(float(run[key]) for run in runs)}


def boundary_table(figures: Sequence[frozen_figures.Boundary]) -> Table:
    """A row per boundary."""
    table = Table(title="phase 2: seconds by boundary", caption="limit: multiply-adds, at the rate of a forward pass")
    for header in ("from … up", "with cache", "without", "limit", "kernels above + one pass", "cache / limit"):
        table.add_column(header, justify="right")
    for each in figures:
        values = (each.with_s, each.without_s, each.limit_s, each.measured_limit_s)
        table.add_row(each.name, *(shown(value, 1) for value in values), shown(each.with_s / each.limit_s))
    return table


def kept_rows(path: Path, sections: Sequence[str]) -> list[Figure]:
    """The rows of an earlier run that belong to none of the sections."""
    if not path.is_file():
        return []
    rows = [frozen_figures.from_json(row) for row in json.loads(path.read_text("utf-8"))]
    return [row for row in rows if not row.name.startswith(tuple(f"{section}: " for section in sections))]


def _options(argv: Sequence[str] | None) -> Namespace:
    parser = parser_of("frozen", "What the cache of frozen layers saves.")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="a section; may be given several times")
    parser.add_argument("--rounds", type=at_least_one, default=1, help="repetitions of what is not slow (default: 1)")
    parser.add_argument("--photographs", type=at_least_one, help="how many, in the place of the full size")
    parser.add_argument("--boundary", action="append", help="a block of phase 2; may be given several times")
    parser.add_argument("--picture", action="store_true", help="only draw docs/images/frozen.png from the results")
    return parser.parse_args(argv)


def _plan(options: Namespace) -> Plan:
    plan = SMOKE if options.smoke else FULL
    return plan.changed(num_photographs=options.photographs, boundaries=options.boundary)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = _options(argv)
    console = Console(highlight=False)
    folder = options.results or RESULTS
    if options.picture:
        draw(json.loads((folder / "frozen.json").read_text("utf-8")), _PICTURE)
        console.print(f"drawn: {_PICTURE}", soft_wrap=True)
        return
    plan, sections = _plan(options), options.only or list(SECTIONS)
    runner = Runner(plan, console)
    results = {section: _RUNS[section](runner, options.rounds) for section in sections}
    if "phase2" in results:
        console.print(boundary_table(frozen_figures.boundaries_of(results["phase2"], plan)))
    figures = frozen_figures.figures_of(results, plan)
    kept = [] if options.smoke else kept_rows(folder / "frozen.json", sections)
    facts = {"num_rounds": options.rounds, "num_photographs": plan.num_photographs, "weights": "random, seeded"}
    finish("frozen", [*figures, *kept], options, console, facts)


if __name__ == "__main__":
    main()
