"""From photographs to training data: thaw against plain tf.data and against TFX as it comes.

Every variant makes 224×224 images out of JPEG photographs of 500×375 pixels, or of 12 megapixels. thaw and TFX run
ExampleGen and Transform and write examples by split; tf.data only decodes and resizes, which is the limit. Each run is
a process of its own, and its time leaves imports out. Two sizes tell the images per second, the slope between them,
from the fixed costs. What thaw's statistics and validation add is told as a share. At the end the training data are
read back as training reads them, against a MobileNetV2 that is fed from memory.
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal, ratio
from benchmarks.ingest_plan import (
    FULL,
    LIMIT,
    LIMIT_LARGE,
    OURS,
    OURS_LARGE,
    SCALED,
    SMOKE,
    STOCK,
    Plan,
    Run,
    Summary,
    schedule,
    summarize,
)
from benchmarks.isolation import run_isolated
from benchmarks.photographs import photographs_folder, warm_up
from benchmarks.reporting import at_least_one, finish, parser_of, shown

_VARIANTS = "benchmarks.ingest_variants"


def figures_of(summaries: Sequence[Summary], reading: Mapping[str, float]) -> list[Figure]:
    """All rows: each variant's, then the ratios that have goals.

    Args:
        summaries: of all variants.
        reading: see `benchmarks.ingest_variants.measure_reading`.
    """
    by_name = {summary.variant.name: summary for summary in summaries}
    speed = {name: summary.images_per_s for name, summary in by_name.items()}
    ours, large = by_name[OURS], by_name[OURS_LARGE]
    read, consumed = reading["read_images_per_s"], reading["consumed_images_per_s"]
    return [
        *(row for summary in summaries for row in _rows(summary)),
        Figure("thaw / tf.data, images/s", ratio(speed[OURS], speed[LIMIT]), "", Goal(">=", 0.5)),
        Figure("thaw / stock TFX, images/s", ratio(speed[OURS], speed[STOCK]), "", Goal(">=", 10)),
        Figure("thaw: fixed cost", ours.fixed_s, "s", Goal("<", 10)),
        Figure("thaw: peak memory, large / small", ours.peaks_mib[1] / ours.peaks_mib[0], "", Goal("<=", 1.2)),
        Figure("thaw: peak memory", max(ours.peaks_mib), "MiB", Goal("<", 3072)),
        Figure("thaw: statistics and validation add", 100 * ours.checking_share, "%", Goal("<", 10)),
        Figure("12 MP: thaw / tf.data, images/s", ratio(speed[OURS_LARGE], speed[LIMIT_LARGE]), "", Goal(">=", 0.5)),
        Figure("12 MP: scaled decoding / full decoding, images/s", ratio(speed[SCALED], speed[OURS_LARGE]), ""),
        Figure("12 MP: peak memory, large / small", large.peaks_mib[1] / large.peaks_mib[0], "", Goal("<=", 1.2)),
        Figure("12 MP: peak memory", max(large.peaks_mib), "MiB", Goal("<", 3072)),
        Figure("reading training data back", read, "images/s"),
        Figure("a frozen MobileNetV2 at 160² consumes", consumed, "images/s"),
        Figure("reading back / consumption", ratio(read, consumed), "", Goal(">=", 5)),
    ]


def _rows(summary: Summary) -> list[Figure]:
    name = summary.variant.name
    rows = []
    for size, seconds, peak_mib in zip(summary.variant.sizes, summary.seconds, summary.peaks_mib, strict=True):
        rows.append(Figure(f"{name}: {size:,} photographs, time", seconds, "s"))
        rows.append(Figure(f"{name}: {size:,} photographs, peak memory", peak_mib, "MiB"))
    rows.append(Figure(f"{name}: memory after imports", summary.imports_mib, "MiB"))
    rows.append(Figure(f"{name}: slope", summary.images_per_s, "images/s"))
    if name != OURS:  # ours has a goal, and stands with the goals
        rows.append(Figure(f"{name}: fixed cost", summary.fixed_s, "s"))
    return rows + [
        Figure(f"{name}: {artifact}", num_bytes, "bytes/image")
        for artifact, num_bytes in summary.bytes_per_image.items()
    ]


def table_of(summaries: Sequence[Summary], plan: Plan) -> Table:
    """What a reader wants to compare: two rows per variant, one for each size."""
    table = Table(
        title="ingest: JPEG to 224×224",
        caption=f"Medians of {plan.num_rounds} interleaved runs, each a process of its own, imports left out. "
        "Stock TFX ran once, on fewer photographs, for it is slow. "
        "Images/s is the slope between the two sizes, the fixed cost what it leaves for none.",
    )
    for header in ("", "photographs", "time, s", "peak, MiB", "images/s", "fixed, s"):
        table.add_column(header, justify="right" if header else "left")
    for summary in summaries:
        small, large = zip(summary.variant.sizes, summary.seconds, summary.peaks_mib, strict=True)
        table.add_row(summary.variant.name, *_cells(*small))
        line = [shown(value, digits=1) for value in (summary.images_per_s, summary.fixed_s)]
        table.add_row("", *_cells(*large), *line, end_section=True)
    return table


def _cells(num_photographs: int, seconds: float, peak_mib: float) -> list[str]:
    return [f"{num_photographs:,}", shown(seconds, digits=1), shown(peak_mib, digits=0)]


def size_table_of(summary: Summary) -> Table:
    """Bytes per image at each artifact."""
    table = Table(title=f"{summary.variant.name}: bytes per image")
    table.add_column("artifact")
    table.add_column("bytes", justify="right")
    for artifact, num_bytes in summary.bytes_per_image.items():
        table.add_row(artifact, shown(num_bytes, digits=0))
    return table


def run_all(plan: Plan, console: Console) -> list[Run]:
    """Makes the photographs that are missing, and runs the schedule with a line per run."""
    runs = []
    for variant, size in schedule(plan):
        with console.status(f"making {size:,} photographs …"):
            folder = photographs_folder(size, scale=variant.scale)
        with console.status(f"{variant.name}, {size:,} photographs …"):
            warm_up(folder)
            run = Run(variant, size, run_isolated(_VARIANTS, variant.kind, folder))
        console.print(_line(run), soft_wrap=True)
        runs.append(run)
    return runs


def _line(run: Run) -> str:
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in run.measurement.result["durations_s"].items())
    peak = f"{run.measurement.peak_memory_mib:6,.0f} MiB"
    return f"{run.variant.name:28} {run.num_photographs:6,} photographs  {run.duration_s:7.1f} s  {peak}  ({steps})"


def read_back(plan: Plan, console: Console) -> dict[str, Any]:
    """Measures how fast training data come back, see `benchmarks.ingest_variants.measure_reading`."""
    with console.status("reading back …"):
        return run_isolated(_VARIANTS, "reading", photographs_folder(plan.num_read_back)).result


def _plan(options: Namespace) -> Plan:
    plan = SMOKE if options.smoke else FULL
    return replace(plan, num_rounds=options.rounds or plan.num_rounds)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = parser_of("ingest", "From photographs to training data, against tf.data and stock TFX.")
    parser.add_argument("--rounds", type=at_least_one, help=f"interleaved repetitions (default: {FULL.num_rounds})")
    options = parser.parse_args(argv)
    console, plan = Console(highlight=False), _plan(options)
    runs = run_all(plan, console)
    summaries = [summarize(variant, runs) for variant in plan.variants]
    reading = read_back(plan, console)
    console.print(table_of(summaries, plan))
    console.print(size_table_of(summaries[0]))
    finish("ingest", figures_of(summaries, reading), options, console, {"num_rounds": plan.num_rounds})


if __name__ == "__main__":
    main()
