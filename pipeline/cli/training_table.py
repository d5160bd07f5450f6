"""What trained in a run, phase by phase, as its training record has it."""

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from components.gate.verdict_schema import readable
from pipeline.cli.screen import counted, short_path
from pipeline.cli.search_tables import print_search
from pipeline.run_record import TRAINING_RECORD, RunRecord

_FILE_NAME = "training.json"
_NUM_CLASSES_SHOWN = 10


def print_training(console: Console, record: RunRecord) -> None:
    """Prints a line per phase, and its warning where it has one; nothing for a run that trained nothing."""
    content = _content(record)
    phases = _phases(content)
    if not phases:
        return
    console.print()
    console.print(training_table(phases))
    if content.get("baseline"):
        console.print(f"the frozen baseline is the model at the end of {content['baseline']}", style="dim")
    print_warm_start(console, record)
    for phase in phases:
        print_cache_use(console, phase)
        print_search(console, phase)
        if phase["warning"]:
            console.print(Padding(f"! {phase['warning']}", (0, 0, 0, 2), expand=False), style="yellow")


def print_cache_use(console: Console, phase: dict[str, Any]) -> None:
    """Prints whether a phase of the training record read from the cache, and why; nothing of older records."""
    use = phase.get("cache")
    if use:
        which = "with" if use["is_used"] else "without"
        console.print(f"{phase['name']} {which} the cache: {use['why']}", style="dim")


def training_table(phases: list[dict[str, Any]]) -> Table:
    """A row per phase of the training record."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("phase", "trains", "BatchNorm"):
        table.add_column(name, overflow="fold")
    for name in ("parameters", "evaluations", "kept", "eval log loss", "eval accuracy"):
        table.add_column(name, justify="right")
    for phase in phases:
        best = phase["epochs"][phase["best_epoch"] - 1]
        trainable = phase["trainable"]
        table.add_row(
            phase["name"],
            _what_trains(trainable),
            trainable["batch_norm"]["policy"],
            f"{trainable['num_trained_parameters']:,} of {trainable['num_parameters']:,}",
            str(len(phase["epochs"])),
            str(phase["best_epoch"]),
            f"{best['eval_log_loss']:.4f}",
            f"{best['eval_accuracy']:.4f}",
        )
    return table


def print_warm_start(console: Console, record: RunRecord) -> None:
    """Prints which model training began with, and what became of its classes; nothing without a warm start."""
    content = _content(record)
    for line in _warm_start_lines(content) if content.get("warm_start") else ():
        console.print(line, markup=False)


def _warm_start_lines(content: dict[str, Any]) -> list[str]:
    found, settings = content["warm_start"], content["settings"]
    if found["model"] is None:
        return [f"nothing to begin with has been pushed yet, so training began with weights: {settings['weights']}"]
    size_px, earlier_px = settings["image_size_px"], found["image_size_px"]
    resized = f", which was trained at {earlier_px} px, not {size_px}" if size_px != earlier_px else ""
    classes = [f"  classes {kind}: {_listed(found[kind])}" for kind in ("kept", "new", "dropped")]
    return [f"training began with the model in {short_path(Path(found['model']))}{resized}", *classes]


def _listed(labels: list[str]) -> str:
    if not labels:
        return "none"
    shown = ", ".join(readable(label) for label in labels[:_NUM_CLASSES_SHOWN])
    num_more = len(labels) - _NUM_CLASSES_SHOWN
    return f"{len(labels):,} ({shown}{f' and {num_more:,} more in {_FILE_NAME}' if num_more > 0 else ''})"


def _what_trains(trainable: dict[str, Any]) -> str:
    blocks, layers = trainable["blocks"], trainable["layers"]
    if not layers:
        return "the head"
    where = blocks[0] if len(blocks) == 1 else f"{blocks[0]} to {blocks[-1]}"
    return f"the head, and {counted(len(layers), 'layer')} in {where}"


def _content(record: RunRecord) -> dict[str, Any]:
    folder = record.uris.get(TRAINING_RECORD)
    try:
        content: dict[str, Any] = json.loads(Path(folder, _FILE_NAME).read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):  # a run whose artifacts are gone is still shown
        return {}
    return content


def _phases(content: dict[str, Any]) -> list[dict[str, Any]]:
    phases = content.get("phases", [])
    is_known = all("blocks" in phase.get("trainable", {}) for phase in phases)  # other versions wrote less
    return phases if is_known else []
