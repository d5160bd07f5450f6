"""`thaw compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import run_record
from pipeline.cli.opening import open_in_browser
from pipeline.cli.report import print_places
from pipeline.cli.roots import roots_of
from pipeline.cli.screen import counted, stdout_console
from pipeline.cli.show import find_run
from pipeline.run_record import runs_dir
from trainer.errors import ThawError

if TYPE_CHECKING:
    from pipeline.reports.two_runs import Line, OneRun, TwoRuns


def compare(first: str, second: str, config: Path | None, root: Path | None, *, is_opened: bool) -> int:
    """Sets two runs side by side, on the screen and as a page in the folder of the second.

    Returns:
        The exit status.
    """
    from pipeline.reports.two_runs import compared, page_of

    roots = roots_of(config, root)
    runs = compared(*(_read(name, roots) for name in (first, second)))
    place, run_id = find_run(second, roots)
    page = runs_dir(place) / run_id / f"compared-with-{runs.first.record.run_id}.html"
    try:
        page.write_text(page_of(runs), "utf-8", "replace")
    except OSError as error:
        raise ThawError(f"{page} cannot be written: {error.strerror or error}") from None
    console = stdout_console()
    print_runs(console, runs)
    print_places(console, {"comparison": str(page)})
    if is_opened:
        open_in_browser(page)
    return 0


def _read(name: str, roots: Sequence[Path]) -> "OneRun":
    from pipeline.reports.two_runs import read_run

    place, run_id = find_run(name, roots)
    return read_run(run_record.read(place, run_id), runs_dir(place) / run_id)


def print_runs(console: Console, runs: "TwoRuns") -> None:
    """Prints everything about both."""
    titles = [run.record.run_id for run in (runs.first, runs.second)]
    for name, lines in (("", runs.facts), ("metric", runs.metrics), ("key", runs.settings), ("photographs", runs.data)):
        if lines:
            console.print(_table(name, titles, lines))
            console.print()
    if not runs.settings and runs.first.settings and runs.second.settings:
        console.print("The configurations are the same.\n")
    for sentence in _of_pairs(runs):
        console.print(sentence)


def _table(name: str, titles: Sequence[str], lines: Sequence["Line"]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(name, overflow="fold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for line in lines:
        table.add_row(line.name, _cell(line.first, line.first_note), _cell(line.second, line.second_note))
    return table


def _cell(value: str, note: str) -> Text:
    return Text.assemble(value, (f"  {note}", "dim") if note else "")


def _of_pairs(runs: "TwoRuns") -> Sequence[str]:
    from components.gate.report.tables import bounds, signed

    paired = runs.paired
    if paired is None:
        return ()
    found = []
    if {paired.num_first, paired.num_second} != {paired.num_shared}:
        found.append(
            f"! The test splits are not the same ({paired.num_first:,} and {paired.num_second:,} images, "
            f"{paired.num_shared:,} shared): the metrics are of different images."
        )
    if paired.gain is not None:
        found.append(
            f"On the {paired.num_shared:,} test images that both have, the fine-tuned model of the second run is "
            f"{signed(paired.gain.value)} in accuracy beside that of the first "
            f"({bounds(paired.gain.interval, with_sign=True)}): {counted(paired.num_gained, 'image')} gained, "
            f"{paired.num_lost:,} lost."
        )
    return found
