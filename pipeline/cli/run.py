"""`thaw run`."""

import logging
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from pipeline import root_lock, run_record
from pipeline.cli import noise
from pipeline.cli.display import Display
from pipeline.cli.exit_status import PUSHED, REFUSED, Interrupted
from pipeline.cli.next_steps import print_next_steps
from pipeline.cli.report import places, print_outcome, print_places
from pipeline.cli.screen import console_on, duration, print_command, short_path
from pipeline.cli.training_table import print_warm_start
from pipeline.config import Configuration, load_configuration
from pipeline.config.places import check_places
from pipeline.run_record import RunRecord, StepRecord
from trainer import interruption
from trainer.errors import ThawError
from trainer.progress import listening

if TYPE_CHECKING:
    from pipeline.local import RunOutcome, StepEvent


def run(config_path: Path, overrides: Sequence[str]) -> int:
    """Runs the pipeline, shows it, and keeps a record of it.

    Returns:
        The exit status.
    """
    configuration = load_configuration(config_path, overrides)
    check_places(configuration)
    # `kill`, as Ctrl-C does, must leave a tidy screen and a record that says what happened.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root = configuration.infrastructure.root
    with root_lock.held(root):
        run_dir = run_record.create(root, configuration, config_path, overrides)
        with noise.kept_in(run_dir / run_record.LOG_FILE) as screen:
            console = console_on(screen)
            record = _run(configuration, run_dir, console)
            write_report(console, record, run_dir)
            _report(console, record, configuration, run_dir)
    return PUSHED if record.status == "pushed" else REFUSED


def _run(configuration: Configuration, run_dir: Path, console: Console) -> RunRecord:
    from pipeline.local import run_local, step_names

    recorder = _Recorder(run_record.read(configuration.infrastructure.root, run_dir.name), run_dir)
    display = Display(console, step_names(configuration))

    def on_step(event: "StepEvent") -> None:
        recorder.on_step(event)
        display.on_step(event)

    console.print(f"Run {run_dir.name} of {configuration.name}", style="bold")
    for words in configuration.model.warnings:
        console.print(f"! {words}", style="yellow")
    try:
        with display.shown(), listening(display.on_progress):
            outcome = run_local(configuration, run_dir, on_step)
        return recorder.finish(outcome)
    except KeyboardInterrupt as error:
        recorder.end("interrupted", "stopped from outside (Ctrl-C or kill)")
        raise Interrupted("interrupted; the same command goes on where it stopped") from error
    except interruption.Interrupted as error:
        recorder.end("interrupted", str(error))
        raise Interrupted(f"interrupted; {error}") from error
    except ThawError as error:
        recorder.end("failed", str(error))
        error.add_note(_where_the_log_is(run_dir))
        raise
    # SystemExit too: a library that exits must not decide our exit status.
    except (Exception, SystemExit) as error:
        logging.getLogger(__name__).exception("the run failed")
        failure = _in_words(error, recorder.current_step)
        recorder.end("failed", str(failure))
        failure.add_note(_where_the_log_is(run_dir))
        raise failure from error


def _in_words(error: BaseException, step: str | None) -> ThawError:
    what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    if isinstance(error, ImportError):
        return ThawError(f"the environment is incomplete ({what}); `thaw doctor` says what is wrong")
    return ThawError(f"{step or 'the run'} failed unexpectedly: {what}; the log has the stack trace")


def _where_the_log_is(run_dir: Path) -> str:
    return f"log:\n  {short_path(run_dir / run_record.LOG_FILE)}"


def _report(console: Console, record: RunRecord, configuration: Configuration, run_dir: Path) -> None:
    print_outcome(console, record, with_reasons=False)
    print_warm_start(console, record)
    print_places(console, places(record, run_dir))
    print_next_steps(console, record, configuration)
    if record.status == "refused":
        console.print("\nAll about it", style="bold")
        print_command(console, "show", record.run_id, "--root", configuration.infrastructure.root)
    console.print(f"\n{record.status.capitalize()} after {duration(record.duration_s)}.")


def write_report(console: Console, record: RunRecord, run_dir: Path) -> None:
    """Writes the report of a run; what is decided and pushed by then stays so, whatever becomes of the page."""
    from pipeline.reports.run_report import write_run_report

    try:
        write_run_report(record, run_dir)
    except Exception:
        logging.getLogger(__name__).exception("the report could not be written")
        console.print("! the report could not be written; the log has the stack trace", style="yellow")


class _Recorder:
    """Keeps the record on disk up to date while the run goes on."""

    def __init__(self, record: RunRecord, run_dir: Path) -> None:
        self._record = record
        self._run_dir = run_dir

    @property
    def current_step(self) -> str | None:
        """The component that is running, or the last one that was."""
        return self._record.steps[-1].name if self._record.steps else None

    def on_step(self, event: "StepEvent") -> None:
        """Notes that a component has started or ended."""
        step = StepRecord(
            name=event.name,
            state="running" if event.state == "started" else event.state,
            duration_s=event.duration_s,
        )
        before = tuple(other for other in self._record.steps if other.name != event.name)
        self._write(steps=(*before, step))

    def finish(self, outcome: "RunOutcome") -> RunRecord:
        """Notes the outcome of a run that came to its end."""
        if outcome.verdict.pushes != "nothing" and not outcome.pushed_to:
            raise ThawError("the gate approved the model, but nothing was pushed; this is a defect")
        uris = dict(outcome.uris)
        if outcome.pushed_to:
            uris["pushed model"] = outcome.pushed_to
        self._write(
            status="pushed" if outcome.verdict.approved else "refused",
            finished_at=datetime.now(UTC),
            verdict=outcome.verdict,
            uris=uris,
            num_examples=outcome.num_examples,
            refused_images=outcome.refused_images,
            artifact_ids=outcome.artifact_ids,
            code_sha256=outcome.code_sha256,
        )
        return self._record

    def end(self, status: Literal["failed", "interrupted"], error: str) -> None:
        """Notes why a run did not come to its end."""
        steps = tuple(
            step.model_copy(update={"state": status}) if step.state == "running" else step
            for step in self._record.steps
        )
        self._write(status=status, finished_at=datetime.now(UTC), steps=steps, error=error)

    def _write(self, **changes: object) -> None:
        self._record = self._record.model_copy(update=changes)
        run_record.write(self._run_dir, self._record)
