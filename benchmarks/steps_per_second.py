"""Steps per second of thaw's training loop against a bare Keras `fit`, on tensors in memory."""

import statistics
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal
from benchmarks.isolation import run_isolated
from benchmarks.reporting import finish, parser_of, shown

Rates = Mapping[str, Mapping[str, Sequence[float]]]
_LEAST_RATIO = 0.95


def figures_of(rates: Rates) -> list[Figure]:
    """The rows: medians of the rounds, and the median of the rounds' ratios.

    Args:
        rates: of each phase and loop, see `benchmarks.steps_variant.measure`.
    """
    figures = []
    for phase, loops in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(loops["thaw"], loops["keras"], strict=True)]
        figures += [
            Figure(f"{phase}: thaw", statistics.median(loops["thaw"]), "steps/s"),
            Figure(f"{phase}: keras fit", statistics.median(loops["keras"]), "steps/s"),
            Figure(f"{phase}: thaw over keras fit", statistics.median(ratios), "", Goal(">=", _LEAST_RATIO)),
        ]
    return figures


def table_of(rates: Rates) -> Table:
    """A line per phase and loop, with the slowest and the quickest round."""
    table = Table(title="steps per second, batches of 32 in memory, MobileNetV2 of 96 px")
    for header in ("phase", "loop", "median", "least", "most"):
        table.add_column(header, justify="left" if header in ("phase", "loop") else "right")
    for phase, loops in rates.items():
        for name, values in loops.items():
            table.add_row(phase, name, *(shown(found(values)) for found in (statistics.median, min, max)))
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parser_of("steps_per_second", "Thaw's training loop against Keras's fit.").parse_args(argv)
    console = Console(highlight=False)
    num_steps, num_rounds = (2, 1) if options.smoke else (60, 7)
    with console.status("frozen and unfrozen, in turn …"):
        rates = run_isolated("benchmarks.steps_variant", num_steps, num_rounds).result
    console.print(table_of(rates))
    finish("steps_per_second", figures_of(rates), options, console)


if __name__ == "__main__":
    main()
