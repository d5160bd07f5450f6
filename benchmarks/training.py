"""Whether fine-tuning beats the frozen baseline, over several seeds, in the digits example and its harmful variant."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal, mean_and_deviation
from benchmarks.isolation import CHECKOUT, run_isolated
from benchmarks.reporting import at_least_one, finish, parser_of

GOOD, HARMFUL = "config", "harmful"
_NUM_SEEDS = 5
_POINTS = "percentage points"

Rows = Sequence[Mapping[str, float]]


def gains_of(rows: Rows) -> list[float]:
    """Fine-tuned less frozen accuracy of each seed, in percentage points."""
    return [100 * (row["accuracy"] - row["baseline_accuracy"]) for row in rows]


def figures_of(configuration: str, rows: Rows) -> list[Figure]:
    """The rows of one configuration.

    Args:
        configuration: name of its file, without ending.
        rows: of each seed "seed", "baseline_accuracy", "accuracy", and "duration_s" of its training.
    """
    frozen = [100 * row["baseline_accuracy"] for row in rows]
    tuned = [100 * row["accuracy"] for row in rows]
    durations_s = [row["duration_s"] for row in rows]
    per_seed = [
        Figure(f"{configuration}: gain of seed {row['seed']:.0f}", gain, _POINTS)
        for row, gain in zip(rows, gains_of(rows), strict=True)
    ]
    return [
        *_mean_and_deviation(f"{configuration}: frozen baseline, test accuracy", frozen, "%"),
        *_mean_and_deviation(f"{configuration}: fine-tuned, test accuracy", tuned, "%"),
        *per_seed,
        *_gain_figures(configuration, gains_of(rows)),
        *_mean_and_deviation(f"{configuration}: time of the training", durations_s, "s"),
    ]


def _gain_figures(configuration: str, gains: Sequence[float]) -> list[Figure]:
    mean, deviation = mean_and_deviation(gains)
    if configuration == HARMFUL:
        return [
            *_mean_and_deviation(f"{configuration}: gain", gains, _POINTS),
            Figure(f"{configuration}: largest gain of a seed", max(gains), _POINTS, Goal("<", 0)),
        ]
    return [
        Figure(f"{configuration}: gain, mean", mean, _POINTS, Goal(">", 0)),
        Figure(f"{configuration}: gain, standard deviation", deviation, _POINTS),
        Figure(f"{configuration}: gain, mean less 2 standard deviations", mean - 2 * deviation, _POINTS, Goal(">", 0)),
    ]


def _mean_and_deviation(name: str, values: Sequence[float], unit: str) -> list[Figure]:
    mean, deviation = mean_and_deviation(values)
    return [
        Figure(f"{name}, mean", mean, unit),
        Figure(f"{name}, standard deviation", deviation, _POINTS if unit == "%" else unit),
    ]


def table_of(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line per seed, and one with mean ± standard deviation, for each configuration."""
    num_test_examples = next(iter(results.values()))["num_test_examples"]
    table = Table(
        title=f"training: test accuracy of examples/digits, {num_test_examples:,} test examples",
        caption="gain: fine-tuned less frozen baseline of the same run; ±: standard deviation over the seeds",
    )
    for header in ("", "seed", "frozen, %", "fine-tuned, %", "gain, points", "time, s"):
        table.add_column(header, justify="right" if header else "left")
    for configuration, result in results.items():
        for line in _lines(configuration, result["seeds"]):
            table.add_row(*line)
        table.add_section()
    return table


def _lines(name: str, rows: Rows) -> list[list[str]]:
    frozen = [100 * row["baseline_accuracy"] for row in rows]
    tuned = [100 * row["accuracy"] for row in rows]
    durations_s = [row["duration_s"] for row in rows]
    columns = zip(rows, frozen, tuned, gains_of(rows), durations_s, strict=True)
    lines = [[name, f"{row['seed']:.0f}", *(f"{value:.2f}" for value in values)] for row, *values in columns]
    means = [f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in map(mean_and_deviation, (frozen, tuned))]
    gain, deviation = mean_and_deviation(gains_of(rows))
    return [*lines, [name, "all", *means, f"{gain:+.2f} ± {deviation:.2f}", f"{statistics.mean(durations_s):.2f}"]]


def run_all(num_seeds: int, console: Console) -> dict[str, dict[str, Any]]:
    """The result of each configuration, by its name; see `benchmarks.training_variant.measure`."""
    results = {}
    seeds = ",".join(str(seed) for seed in range(num_seeds))
    for configuration in (GOOD, HARMFUL):
        path = CHECKOUT / "examples" / "digits" / f"{configuration}.yaml"
        with console.status(f"{path.name}, {num_seeds} seeds …"):
            measurement = run_isolated("benchmarks.training_variant", path, seeds)
        results[configuration] = measurement.result
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in measurement.result["durations_s"].items())
        console.print(f"{path.name}: {measurement.peak_memory_mib:,.0f} MiB at most; {steps}", soft_wrap=True)
    return results


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = parser_of("training", "Frozen baseline against fine-tuned model, over several seeds.")
    parser.add_argument("--seeds", type=at_least_one, help=f"how many seeds, counted from 0 (default: {_NUM_SEEDS})")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    results = run_all(options.seeds or (2 if options.smoke else _NUM_SEEDS), console)
    console.print(table_of(results))
    figures = [figure for name, result in results.items() for figure in figures_of(name, result["seeds"])]
    finish("training", figures, options, console, {"devices": results[GOOD]["devices"]})


if __name__ == "__main__":
    main()
