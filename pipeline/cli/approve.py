"""`thaw approve`."""

import getpass
from pathlib import Path

from pipeline import root_lock, run_record
from pipeline.cli import noise
from pipeline.cli.report import places, print_places
from pipeline.cli.roots import roots_of
from pipeline.cli.run import write_report
from pipeline.cli.screen import console_on
from pipeline.cli.show import find_run
from pipeline.config import load_configuration
from pipeline.run_record import CONFIG_FILE, LOG_FILE, RunRecord, runs_dir
from trainer.errors import ConfigurationError


def approve(run: str, reason: str, who: str | None, config: Path | None, root: Path | None) -> int:
    """Pushes the model of a run that the gate has refused, and keeps who did so, when and why.

    Returns:
        The exit status.
    """
    if not reason.strip():
        raise ConfigurationError("--reason is empty; say why the refused model is pushed all the same")
    place, run_id = find_run(run, roots_of(config, root))
    run_dir = runs_dir(place) / run_id
    with root_lock.held(place):
        record = run_record.read(place, run_id)
        _check(record)
        with noise.kept_in(run_dir / LOG_FILE) as screen:
            approved = _approve(record, run_dir, reason.strip(), who or getpass.getuser())
            console = console_on(screen)
            write_report(console, approved, run_dir)
            console.print("✓ Pushed, though the gate had refused it. Who had it pushed, when and why is on record.")
            print_places(console, places(approved, run_dir))
    return 0


def _check(record: RunRecord) -> None:
    if record.verdict is None or record.status != "refused":
        raise ConfigurationError(
            f"run {record.run_id} is {record.status}; only a run that the gate has refused can be approved"
        )


def _approve(record: RunRecord, run_dir: Path, reason: str, who: str) -> RunRecord:
    from pipeline.approval import push_refused

    configuration = load_configuration(run_dir / CONFIG_FILE)
    verdict = push_refused(record, configuration, who, reason)
    assert verdict.approval is not None
    uris = {**record.uris, "pushed model": verdict.approval.pushed_to}
    changed = record.model_copy(update={"status": "pushed", "verdict": verdict, "uris": uris})
    run_record.write(run_dir, changed)
    return changed
