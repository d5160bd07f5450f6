"""`thaw runs`."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.gate.verdict_schema import MetricRow
from pipeline.cli.report import status_text
from pipeline.cli.roots import roots_of
from pipeline.cli.screen import duration, print_command, short_path, stdout_console
from pipeline.run_record import RunRecord, UnreadableRun, list_runs, run_ids


def runs(config: Path | None, root: Path | None, limit: int) -> int:
    """Lists the newest runs of each root.

    Returns:
        The exit status.
    """
    console = stdout_console()
    roots = roots_of(config, root)
    for place in roots:
        _print_runs(console, place, limit)
    if any(run_ids(place) for place in roots):
        console.print("More about one", style="bold")
        arguments = [config] if config else ["--root", root] if root else []
        print_command(console, "show", "last", *arguments)
    return 0


def _print_runs(console: Console, root: Path, limit: int) -> None:
    found = list_runs(root, limit)
    console.print(short_path(root), soft_wrap=True, style="bold")
    if not found:
        console.print("  no runs yet\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("accuracy", justify="right", no_wrap=True)
    table.add_column("gain", justify="right", no_wrap=True)
    for record in found:
        table.add_row(*_row(record))
    console.print(table)
    num_older = len(run_ids(root)) - len(found)
    if num_older > 0:
        console.print(f"… and {num_older} older; --limit {len(found) + num_older} lists all")
    console.print()


def _row(record: RunRecord | UnreadableRun) -> list[str | Text]:
    if isinstance(record, UnreadableRun):
        return [record.run_id, Text("? unreadable", "red"), "", "", ""]
    accuracy = _accuracy(record)
    return [
        record.run_id,
        status_text(record.status),
        duration(record.duration_s),
        "" if accuracy is None or accuracy.candidate is None else f"{accuracy.candidate:.4f}",
        "" if accuracy is None or accuracy.difference is None else f"{accuracy.difference:+.4f}",
    ]


def _accuracy(record: RunRecord) -> MetricRow | None:
    metrics = record.verdict.metrics if record.verdict else ()
    return next((row for row in metrics if row.name == "accuracy"), None)
