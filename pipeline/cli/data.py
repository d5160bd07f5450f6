"""`thaw data`."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import root_lock
from pipeline.cli import noise
from pipeline.cli.display import Display
from pipeline.cli.report import print_places
from pipeline.cli.screen import console_on, counted, print_command, short_path
from pipeline.config import Configuration, load_configuration
from pipeline.config.places import check_data_places
from trainer.errors import ThawError
from trainer.progress import listening

_LOG_FILE = "data.log"
_NUM_CLASSES_SHOWN = 30
_NUM_WARNINGS_CHARACTERS = 600


def data(config_path: Path, overrides: Sequence[str]) -> int:
    """Ingests the photographs, or reads the last ingestion if nothing has changed, and shows what is in them.

    Returns:
        The exit status.
    """
    configuration = load_configuration(config_path, overrides)
    check_data_places(configuration)
    root = configuration.infrastructure.root
    with root_lock.held(root), noise.kept_in(root / _LOG_FILE) as screen:
        console = console_on(screen)
        console.print(f"Photographs of {configuration.name}", style="bold")
        quarantine = _ingest(configuration, console)
        summary = json.loads((quarantine / "summary.json").read_text("utf-8", "surrogateescape"))
        print_summary(console, summary)
        print_places(console, _places(quarantine))
        console.print("\nTrain on them", style="bold")
        print_command(console, "run", config_path, *(word for item in overrides for word in ("--set", item)))
    return 0


def _ingest(configuration: Configuration, console: Console) -> Path:
    from pipeline.local import DATA_STEPS, ingest_local

    display = Display(console, DATA_STEPS)
    run_id = f"data-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}"
    try:
        with display.shown(), listening(display.on_progress):
            return ingest_local(configuration, run_id, display.on_step)
    except ThawError as error:
        error.add_note(f"log:\n  {short_path(configuration.infrastructure.root / _LOG_FILE)}")
        raise


def print_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Prints the counts of an ingestion.

    Args:
        console: to print on.
        summary: of the quarantine artifact.
    """
    console.print()
    console.print(classes_table(summary["num_by_split"], summary["num_refused_by_reason_and_label"]))
    console.print()
    for name, words in _lines(summary):
        console.print(f"{name:<12}{words}")
    for words in summary["warnings"]:
        console.print()
        console.print(Text(f"! {words[:_NUM_WARNINGS_CHARACTERS]}", style="yellow"))


def classes_table(num_by_split: Mapping[str, Mapping[str, int]], num_refused: Mapping[str, Mapping[str, int]]) -> Table:
    """Number of photographs by class and split, the largest class first, and of those refused."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("class")
    for name in (*num_by_split, "all", "refused"):
        table.add_column(name, justify="right")
    refused = _sums_by_label(num_refused)
    sums = _sums_by_label(num_by_split)
    labels = sorted(sums.keys() | refused.keys(), key=lambda label: (-sums.get(label, 0), label))
    for label in labels[:_NUM_CLASSES_SHOWN]:
        counts = [counts.get(label, 0) for counts in num_by_split.values()]
        row = (*counts, sums.get(label, 0), refused.get(label, 0))
        table.add_row(Text(label or "(none)"), *(f"{count:,}" for count in row))
    if len(labels) > _NUM_CLASSES_SHOWN:
        table.add_row(f"… {len(labels) - _NUM_CLASSES_SHOWN:,} more classes")
    totals = [sum(counts.values()) for counts in num_by_split.values()]
    table.add_section()
    table.add_row("all", *(f"{count:,}" for count in (*totals, sum(totals), sum(refused.values()))))
    return table


def _sums_by_label(table: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    labels = {label for counts in table.values() for label in counts}
    return {label: sum(counts.get(label, 0) for counts in table.values()) for label in labels}


def _lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    formats = " · ".join(f"{name} {count:,}" for name, count in summary["num_by_format"].items())
    refused = " · ".join(f"{name} {count:,}" for name, count in summary["num_refused_by_reason"].items())
    pairs = summary["num_duplicate_pairs"]
    duplicates = " · ".join(f"{name} {count:,}" for name, count in pairs.items() if count)
    normalised = summary["num_normalised"]
    lines = [
        ("spans", ", ".join(summary["spans"])),
        ("formats", formats + (f" ({counted(normalised, 'photograph')} kept as PNG)" if normalised else "")),
        ("refused", refused or "none"),
        ("duplicates", f"pairs: {duplicates}" if duplicates else "none found"),
        ("ignored", counted(len(summary["ignored_hidden_files"]), "hidden file")),
    ]
    return [(name, words) for name, words in lines if words and not words.startswith("0 ")]


def _places(quarantine: Path) -> dict[str, str]:
    names = {
        "report": "report.html",
        "contact sheet": "contact_sheet.png",
        "refused": "refused.jsonl",
        "duplicates": "duplicates.jsonl",
        "summary": "summary.json",
    }
    return {name: str(quarantine / file) for name, file in names.items()}
