"""`thaw report`."""

from pathlib import Path

from pipeline import run_record
from pipeline.cli.opening import open_in_browser
from pipeline.cli.report import print_places
from pipeline.cli.roots import roots_of
from pipeline.cli.screen import command, stdout_console
from pipeline.cli.show import find_run
from pipeline.run_record import runs_dir
from trainer.errors import ConfigurationError


def report(
    run: str, config: Path | None, root: Path | None, *, is_opened: bool, pdf: Path | None, png: Path | None
) -> int:
    """Writes the report of a run, prints where it is, and opens it.

    Returns:
        The exit status.
    """
    place, run_id = find_run(run, roots_of(config, root))
    record = run_record.read(place, run_id)
    if record.verdict is None:
        shown = command("show", run_id, "--root", place)
        raise ConfigurationError(f"run {run_id} is {record.status} and has no verdict to report; `{shown}` tells of it")
    from pipeline.reports.browser import write_pdf, write_png
    from pipeline.reports.run_report import write_run_report

    page = write_run_report(record, runs_dir(place) / run_id)
    written = {"report": str(page)}
    for name, target, write in (("PDF", pdf, write_pdf), ("PNG", png, write_png)):
        if target is not None:
            write(page, target)
            written[name] = str(target)
    console = stdout_console()
    console.print(record.verdict.sentence)
    print_places(console, written)
    if is_opened:
        open_in_browser(page)
    return 0
