"""From photographs to training data: thaw against plain tf.data and against TFX as it comes.

Every variant makes 224×224 images out of JPEG photographs of 500×375. thaw and TFX run ExampleGen and Transform and
write examples by split; tf.data only decodes and resizes, which is the limit. Each run is a process of its own, and its
time leaves imports out. Two sizes tell the images per second, the slope between them, from the fixed costs.
"""

import math
import statistics
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal, fixed_cost_s, ratio, slope_per_s
from benchmarks.isolation import Measurement, run_isolated
from benchmarks.photographs import photographs_folder, warm_up
from benchmarks.reporting import at_least_one, finish, parser_of, shown

_OURS, _LIMIT, _STOCK = "thaw", "tf.data", "stock TFX"


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        sizes: number of photographs, small and large.
        stock_sizes: the same for stock TFX, which is too slow for the others.
        num_rounds: how often thaw and tf.data run on each size; stock TFX runs once.
    """

    sizes: tuple[int, int]
    stock_sizes: tuple[int, int]
    num_rounds: int

    def sizes_of(self, variant: str) -> tuple[int, int]:
        """The two sizes that a variant runs on."""
        return self.stock_sizes if variant == _STOCK else self.sizes


FULL = Plan(sizes=(2000, 6000), stock_sizes=(200, 600), num_rounds=3)
SMOKE = Plan(sizes=(120, 240), stock_sizes=(60, 120), num_rounds=1)


@dataclass(frozen=True)
class Run:
    """One measured process."""

    variant: str
    num_photographs: int
    measurement: Measurement

    @property
    def duration_s(self) -> float:
        """Sum over the steps."""
        return math.fsum(self.measurement.result["durations_s"].values())


@dataclass(frozen=True)
class Summary:
    """What the runs of one variant say; pairs are for the small and the large size.

    Attributes:
        sizes: number of photographs.
        seconds: medians.
        peaks_mib: medians of the peak memory.
        imports_mib: median of the memory after the imports.
        images_per_s: slope between the medians.
    """

    variant: str
    sizes: tuple[int, int]
    seconds: tuple[float, float]
    peaks_mib: tuple[float, float]
    imports_mib: float
    images_per_s: float | None

    @property
    def fixed_s(self) -> float | None:
        """What no photographs at all would take."""
        return fixed_cost_s(self.sizes[0], self.seconds[0], self.images_per_s)


def schedule(plan: Plan) -> list[tuple[str, int]]:
    """(variant, number of photographs) of all runs: stock TFX once, the others interleaved.

    Every second round runs backwards, so that a machine that slows down or speeds up favours nobody.
    """
    one_round = [(variant, size) for size in plan.sizes for variant in (_OURS, _LIMIT)]
    rounds = [one_round if number % 2 == 0 else one_round[::-1] for number in range(plan.num_rounds)]
    stock = [(_STOCK, size) for size in plan.stock_sizes]
    return [*rounds[0], *stock, *(run for later in rounds[1:] for run in later)]


def summarize(variant: str, sizes: tuple[int, int], runs: Sequence[Run]) -> Summary:
    """Medians and slope of one variant."""
    by_size = [[run for run in runs if (run.variant, run.num_photographs) == (variant, size)] for size in sizes]
    small_s, large_s = (statistics.median(run.duration_s for run in group) for group in by_size)
    small_mib, large_mib = (statistics.median(run.measurement.peak_memory_mib for run in group) for group in by_size)
    imports = [run.measurement.result["memory_after_imports_mib"] for group in by_size for run in group]
    return Summary(
        variant,
        sizes,
        (small_s, large_s),
        (small_mib, large_mib),
        statistics.median(imports),
        slope_per_s(sizes, (small_s, large_s)),
    )


def figures_of(summaries: Sequence[Summary]) -> list[Figure]:
    """All rows: each variant's, then the ratios that have goals."""
    rows = [row for summary in summaries for row in _rows(summary)]
    speed = {summary.variant: summary.images_per_s for summary in summaries}
    return [
        *rows,
        Figure("thaw / tf.data, images/s", ratio(speed[_OURS], speed[_LIMIT]), "", Goal(">=", 0.3)),
        Figure("thaw / stock TFX, images/s", ratio(speed[_OURS], speed[_STOCK]), "", Goal(">=", 10)),
    ]


def _rows(summary: Summary) -> list[Figure]:
    name = summary.variant
    rows = []
    for size, seconds, peak_mib in zip(summary.sizes, summary.seconds, summary.peaks_mib, strict=True):
        rows.append(Figure(f"{name}: {size:,} photographs, time", seconds, "s"))
        rows.append(Figure(f"{name}: {size:,} photographs, peak memory", peak_mib, "MiB"))
    return [
        *rows,
        Figure(f"{name}: memory after imports", summary.imports_mib, "MiB"),
        Figure(f"{name}: slope", summary.images_per_s, "images/s"),
        Figure(f"{name}: fixed cost", summary.fixed_s, "s"),
    ]


def table_of(summaries: Sequence[Summary], plan: Plan) -> Table:
    """What a reader wants to compare: two rows per variant, one for each size."""
    table = Table(
        title="ingest: JPEG 500×375 to 224×224",
        caption=f"Medians of {plan.num_rounds} interleaved runs, each a process of its own, imports left out. "
        "Stock TFX ran once, on fewer photographs, for it is slow. "
        "Images/s is the slope between the two sizes, the fixed cost what it leaves for none.",
    )
    for header in ("", "photographs", "time, s", "peak, MiB", "images/s", "fixed, s"):
        table.add_column(header, justify="right" if header else "left")
    for summary in summaries:
        small, large = zip(summary.sizes, summary.seconds, summary.peaks_mib, strict=True)
        table.add_row(summary.variant, *_cells(*small))
        line = [shown(value, digits=1) for value in (summary.images_per_s, summary.fixed_s)]
        table.add_row("", *_cells(*large), *line, end_section=True)
    return table


def _cells(num_photographs: int, seconds: float, peak_mib: float) -> list[str]:
    return [f"{num_photographs:,}", shown(seconds, digits=1), shown(peak_mib, digits=0)]


def run_all(plan: Plan, console: Console) -> list[Run]:
    """Makes the photographs that are missing, and runs the schedule with a line per run."""
    with console.status("making photographs …"):
        folders = {size: photographs_folder(size) for size in sorted({*plan.sizes, *plan.stock_sizes})}
    runs = []
    for variant, size in schedule(plan):
        with console.status(f"{variant}, {size:,} photographs …"):
            warm_up(folders[size])
            run = Run(variant, size, run_isolated("benchmarks.ingest_variants", variant, folders[size]))
        console.print(_line(run), soft_wrap=True)
        runs.append(run)
    return runs


def _line(run: Run) -> str:
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run.measurement.result["durations_s"].items())
    peak = f"{run.measurement.peak_memory_mib:6,.0f} MiB"
    return f"{run.variant:10} {run.num_photographs:6,} photographs  {run.duration_s:7.1f} s  {peak}  ({steps})"


def _plan(options: Namespace) -> Plan:
    plan = SMOKE if options.smoke else FULL
    return Plan(plan.sizes, plan.stock_sizes, options.rounds or plan.num_rounds)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = parser_of("ingest", "From photographs to training data, against tf.data and stock TFX.")
    parser.add_argument("--rounds", type=at_least_one, help=f"interleaved repetitions (default: {FULL.num_rounds})")
    options = parser.parse_args(argv)
    console, plan = Console(highlight=False), _plan(options)
    runs = run_all(plan, console)
    summaries = [summarize(variant, plan.sizes_of(variant), runs) for variant in (_OURS, _LIMIT, _STOCK)]
    console.print(table_of(summaries, plan))
    finish("ingest", figures_of(summaries), options, console, {"num_rounds": plan.num_rounds})


if __name__ == "__main__":
    main()
