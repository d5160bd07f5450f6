"""What every benchmark's command line has in common: options, tables, results."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import RESULTS, Figure, without_goals, write_results
from benchmarks.machine import machine_facts


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument(
        "--smoke", action="store_true", help="a trial on little data: no goals, and nothing written by itself"
    )
    parser.add_argument("--results", type=Path, help="where NAME.json goes (default: benchmarks/results)")
    return parser


def at_least_one(text: str) -> int:
    """An argument's type: an integer from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def finish(
    name: str,
    figures: Sequence[Figure],
    options: argparse.Namespace,
    console: Console,
    more_facts: Mapping[str, Any] | None = None,
) -> None:
    """Prints the figures with their goals, and writes them.

    Args:
        name: of the benchmark.
        figures: all rows.
        options: as parsed by `parser_of`.
        console: where the table goes.
        more_facts: joins the facts about the machine.
    """
    console.print(goal_table(name, [figure for figure in figures if figure.goal], is_trial=options.smoke))
    folder = options.results or (None if options.smoke else RESULTS)
    if folder is None:
        console.print("A trial on little data: nothing was written.")
        return
    kept = without_goals(figures) if options.smoke else figures
    path = write_results(name, kept, {**machine_facts(), **(more_facts or {})}, folder)
    console.print(f"written: {path}", soft_wrap=True)


def goal_table(name: str, figures: Sequence[Figure], is_trial: bool) -> Table:
    """The figures that are held against a goal; a trial is not judged."""
    table = Table(title=f"{name}: goals")
    for header in ("figure", "value", "goal", "holds"):
        table.add_column(header, justify="left" if header == "figure" else "right")
    for figure in figures:
        holds = "trial" if is_trial else "yes" if figure.holds else "NO"
        table.add_row(figure.name, f"{shown(figure.value)} {figure.unit}".strip(), str(figure.goal), holds)
    return table


def shown(value: float | None, digits: int = 2) -> str:
    """A number with thousands apart, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"
