"""`thaw show`."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.cli.next_steps import print_next_steps
from pipeline.cli.report import places, print_outcome, print_places, status_text
from pipeline.cli.roots import roots_of
from pipeline.cli.screen import command_name, duration, local_time, print_path, short_path, stdout_console
from pipeline.cli.training_table import print_training
from pipeline.config import Configuration, load_configuration
from pipeline.run_record import CONFIG_FILE, LOG_FILE, RunRecord, read, run_ids, runs_dir
from trainer.errors import ConfigurationError

_LAST = "last"


def show(run: str, config: Path | None, root: Path | None) -> int:
    """Prints everything about one run.

    Returns:
        The exit status.
    """
    place, run_id = find_run(run, roots_of(config, root))
    record = read(place, run_id)
    console = stdout_console()
    _print_head(console, record)
    _print_steps(console, record)
    print_training(console, record)
    print_outcome(console, record, with_reasons=True)
    run_dir = runs_dir(place) / run_id
    if record.error:
        _print_error(console, record.error, run_dir)
    print_places(console, places(record, run_dir))
    configuration = _configuration(run_dir)
    if configuration is not None:
        print_next_steps(console, record, configuration)
    return 0


def find_run(run: str, roots: Sequence[Path]) -> tuple[Path, str]:
    """The pipeline root and the id of a run that is named by its id, or as "last".

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    found = [(run_id, root) for root in roots for run_id in run_ids(root)]
    if run == _LAST and found:
        run_id, root = max(found, key=lambda item: item[0])
        return root, run_id
    matches = [(root, run_id) for run_id, root in found if run_id == run]
    if len(matches) == 1:
        return matches[0]
    where = ", ".join(str(short_path(root)) for root in roots)
    if matches:
        raise ConfigurationError(f"several pipeline roots have a run {run}: {where}; choose one with --root")
    raise ConfigurationError(f"there is no run {run!r} in {where}; `{command_name()} runs` lists them")


def _print_head(console: Console, record: RunRecord) -> None:
    console.print(Text.assemble((f"Run {record.run_id} of {record.name}  ", "bold"), status_text(record.status)))
    took = f", took {duration(record.duration_s)}" if record.duration_s is not None else ""
    console.print(f"started {local_time(record.started_at)}{took}, from")
    print_path(console, short_path(record.config_path))
    for override in record.overrides:
        print_path(console, f"--set {shlex.quote(override)}")


def _print_steps(console: Console, record: RunRecord) -> None:
    if not record.steps:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    for step in record.steps:
        table.add_row(step.name, _state(record, step.state), duration(step.duration_s))
    console.print()
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _state(record: RunRecord, state: str) -> str:
    """A step that was running when its run was killed is not running any more."""
    return "interrupted" if state == "running" and record.status == "interrupted" else state


def _print_error(console: Console, error: str, run_dir: Path) -> None:
    console.print()
    console.print(Text.assemble(("✗ ", "red"), error))
    console.print("log:")
    print_path(console, short_path(run_dir / LOG_FILE))


def _configuration(run_dir: Path) -> Configuration | None:
    """The configuration of the run; None where that version of thaw had other keys."""
    try:
        return load_configuration(run_dir / CONFIG_FILE)
    except ConfigurationError:
        return None
