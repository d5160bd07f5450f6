"""What searches for learning rates and freeze boundaries found, in words and tables."""

from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from pipeline.cli.screen import counted, duration


def print_search(console: Console, phase: dict[str, Any]) -> None:
    """Prints what was found for a phase of the training record; nothing where all was stated."""
    search = phase.get("search")
    if not search:
        return
    rate = search["rate"]
    if rate is not None:
        spread = f"{rate['lowest']:g} to {rate['highest']:g} over {counted(len(rate['sweeps']), 'sweep')}"
        console.print(
            f"learning rate of {phase['name']}: {phase['learning_rate']:g}; searched: {rate['rate']:g} ({spread})"
        )
    if search["depth"] is not None:
        console.print()
        console.print(depth_table(phase["name"], search["depth"]))
    if search["note"]:
        console.print(Padding(f"! {search['note']}", (0, 0, 0, 2), expand=False), style="yellow")


def depth_table(phase: str, depth: dict[str, Any]) -> Table:
    """A row per freeze boundary that was tried, the taken one marked."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        title=f"How deep to unfreeze in {phase}: {counted(depth['num_steps'], 'step')} each",
        title_justify="left",
        title_style="",
    )
    table.add_column("unfrozen")
    for name in ("parameters", "rate", "eval log loss", "above the best", "eval accuracy", "took"):
        table.add_column(name, justify="right")
    for index, trial in enumerate(depth["trials"]):
        table.add_row(
            trial["where"] + (" ← taken" if index == depth["chosen"] else ""),
            f"{trial['num_trained_parameters']:,}",
            f"{trial['learning_rate']:g}",
            *_results(trial),
            duration(trial["duration_s"]),
        )
    return table


def _results(trial: dict[str, Any]) -> tuple[str, str, str]:
    if trial["eval_log_loss"] is None:
        return "diverged", "", ""
    above = f"{trial['excess']:.4f} ± {trial['standard_error']:.4f}" if trial["excess"] else "the best"
    return f"{trial['eval_log_loss']:.4f}", above, f"{trial['eval_accuracy']:.4f}"
