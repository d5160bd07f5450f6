"""The gate's own honesty: false approvals, power, coverage, and hidden regressions, beside TFMA's plain threshold."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table

from benchmarks import gate_simulations as simulations
from benchmarks.figures import RESULTS, Figure, Goal
from benchmarks.gate_worlds import WorldKind
from benchmarks.reporting import at_least_one, finish, parser_of
from components.gate.settings import Metric

SIZES = (50, 200, 1_000, 10_000)
GAINS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1)
LOSSES = (0.1, 0.2, 0.3)
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "log_loss", "auc", "calibration_error")
_NUM_RESAMPLES = 400
_NUM_WORKERS = 2
# Runs per cell at a scale of 1: the bootstrap of 10,000 examples takes a second, McNemar's test a microsecond.
_RUNS = {50: 2_000, 200: 2_000, 1_000: 400, 10_000: 60}
_RUNS_OF_ACCURACY = {50: 10_000, 200: 10_000, 1_000: 10_000, 10_000: 2_000}
_RUNS_OF_COUNTS = 20_000

Key = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """One simulation.

    Attributes:
        key: what it is of, first of all its kind.
        function: of `benchmarks.gate_simulations`.
        arguments: of it; the number of runs is among them.
        num_runs: the same number again.
    """

    key: Key
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    num_runs: int


def plan_of(scale: float, sizes: Sequence[int] = SIZES) -> list[Cell]:
    """All simulations; the longest come first, so that no worker is left with one at the end.

    Args:
        scale: of the numbers of runs; 1 takes some minutes on two cores.
        sizes: of the test sets.
    """

    def runs(number: int) -> int:
        return max(10, round(number * scale))

    cells = []
    for size in sorted(sizes, reverse=True):
        for metric in METRICS:
            number = runs((_RUNS_OF_ACCURACY if metric == "accuracy" else _RUNS)[size])
            for world in get_args(WorldKind):
                arguments = (metric, size, world, number, _NUM_RESAMPLES)
                cells.append(Cell(("equal", metric, str(size), world), simulations.equal_models, arguments, number))
                cells.append(Cell(("coverage", metric, str(size), world), simulations.coverage, arguments, number))
        number = runs(_RUNS_OF_COUNTS)
        for gain in GAINS:
            cells.append(Cell(("power", str(size), str(gain)), simulations.power, (size, gain, number), number))
        number = runs(_RUNS_OF_COUNTS // 20)
        for loss in LOSSES:
            key = ("planted", str(size), str(loss))
            cells.append(Cell(key, simulations.planted_regression, (size, loss, number), number))
    return cells


def run_all(cells: Sequence[Cell], console: Console) -> dict[Key, Any]:
    """The result of each cell, computed in two processes."""
    results: dict[Key, Any] = {}
    with ProcessPoolExecutor(_NUM_WORKERS, mp_context=get_context("spawn")) as pool, console.status("simulating …"):
        futures = {cell.key: pool.submit(cell.function, *cell.arguments) for cell in cells}
        for key, future in futures.items():
            results[key] = future.result()
    return results


def most_false_approvals(num_runs: int) -> float:
    """Alpha plus three times the error of a simulation of that many runs, in percent."""
    alpha = simulations.ALPHA
    return 100 * (alpha + 3 * math.sqrt(alpha * (1 - alpha) / num_runs))


def figures_of(cells: Sequence[Cell], results: Mapping[Key, Any]) -> list[Figure]:
    """All rows; rates are in percent."""
    figures: list[Figure] = []
    for cell in cells:
        found, name = results[cell.key], ", ".join(cell.key[1:])
        match cell.key[0]:
            case "equal":
                goal = Goal("<=", round(most_false_approvals(cell.num_runs), 2))
                figures.append(Figure(f"equal models approved: {name}", 100 * found.thaw, "%", goal))
                figures.append(Figure(f"equal models approved by TFMA: {name}", 100 * found.tfma, "%"))
            case "coverage":
                figures.append(Figure(f"lower bound above the truth: {name}", 100 * found[0], "%"))
                figures.append(Figure(f"upper bound below the truth: {name}", 100 * found[1], "%"))
            case "power":
                figures.append(Figure(f"true gain approved: {name}", 100 * found.thaw, "%"))
                figures.append(Figure(f"true gain approved by TFMA: {name}", 100 * found.tfma, "%"))
            case "planted":
                figures.append(Figure(f"lost class refused: {name}", 100 * found.thaw_refuses, "%"))
                figures.append(Figure(f"lost class not passed: {name}", 100 * found.thaw_does_not_pass, "%"))
                figures.append(Figure(f"lost class refused by TFMA: {name}", 100 * found.tfma_refuses, "%"))
    return figures


def table_of(title: str, cells: Sequence[Cell], results: Mapping[Key, Any], kind: str) -> Table:
    """The cells of one kind, a line each."""
    headers = {
        "equal": ("metric", "size", "world", "thaw", "TFMA"),
        "coverage": ("metric", "size", "world", "lower bound misses", "upper bound misses"),
        "power": ("size", "true gain", "thaw", "TFMA"),
        "planted": ("size", "loss of the class", "thaw refuses", "thaw does not pass it", "TFMA refuses"),
    }
    table = Table(title=title)
    for header in (*headers[kind], "runs"):
        table.add_column(header, justify="right")
    for cell in sorted((cell for cell in cells if cell.key[0] == kind), key=_order):
        found = results[cell.key]
        rates = found if isinstance(found, tuple) else tuple(vars(found).values())
        table.add_row(*cell.key[1:], *(f"{100 * rate:.1f} %" for rate in rates), f"{cell.num_runs:,}")
    return table


def _order(cell: Cell) -> tuple[Any, ...]:
    return tuple(float(part) if part[0].isdigit() else part for part in cell.key[1:])


def draw(results: Mapping[Key, Any], sizes: Sequence[int], path: Path) -> None:
    """Power curves of the gate and of TFMA's threshold, with the false approvals where they begin.

    Args:
        results: of the cells of kind "power" at least.
        sizes: of the test sets.
        path: of the PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(9, 4), layout="constrained")
    for axes, who in zip(drawing.subplots(1, 2, sharey=True), ("thaw", "tfma"), strict=True):
        for size, mark in zip(sizes, "osD^", strict=False):
            rates = [100 * getattr(results["power", str(size), str(gain)], who) for gain in GAINS]
            axes.plot([100 * gain for gain in GAINS], rates, marker=mark, label=f"{size:,} test images")
        axes.axhline(100 * simulations.ALPHA, color="#5c6670", linestyle="--", linewidth=1)
        axes.set_title("thaw's gate" if who == "thaw" else "TFMA, change of at least 0")
        axes.set_xlabel("true gain in accuracy, points")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e5e7eb")
    drawing.axes[0].set_ylabel("approved, %")
    drawing.axes[0].legend(frameon=False)
    FigureCanvasAgg(drawing).print_png(str(path))


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = parser_of("gate", "How often the gate errs, in simulated runs whose truth is known.")
    parser.add_argument("--percent", type=at_least_one, help="share of the runs to do, in percent (default: 100)")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    sizes = SIZES[:2] if options.smoke else SIZES
    cells = plan_of((options.percent or (1 if options.smoke else 100)) / 100, sizes)
    results = run_all(cells, console)
    for kind, title in (
        ("equal", "Two equal models: how often one is approved over the other"),
        ("power", "A true gain in accuracy: how often it is approved"),
        ("coverage", "Bounds of the gain: how often each misses the truth (5 % is meant)"),
        ("planted", "One class of ten has lost behind an overall gain"),
    ):
        console.print(table_of(title, cells, results, kind))
    folder = options.results or (None if options.smoke else RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        draw(results, sizes, folder / "gate.png")
    finish("gate", figures_of(cells, results), options, console, {"num_resamples": _NUM_RESAMPLES})


if __name__ == "__main__":
    main()
