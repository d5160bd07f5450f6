"""What is kept of every run, in `ROOT/runs/RUN_ID/`: `run.json`, the resolved `config.yaml`, and `log.txt`.

Records are written whole or not at all, and readable without TensorFlow.
"""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from components.gate.verdict_schema import Verdict
from pipeline import processes, root_lock
from pipeline.config import Configuration, resolved_yaml
from pipeline.root_lock import not_writable
from trainer.errors import ThawError
from trainer.settings import Settings

RECORD_FILE = "run.json"
CONFIG_FILE = "config.yaml"
LOG_FILE = "log.txt"

TRAINING_RECORD = "training record"
"""Under which name a run keeps the place of its training record among its `uris`."""

VERDICT = "verdict"
"""The same of the gate's verdict."""

QUARANTINE = "quarantine"
"""The same of the account of the ingestion."""

Status = Literal["running", "pushed", "refused", "failed", "interrupted"]


class StepRecord(Settings):
    """One component of the run.

    Attributes:
        name: the component.
        state: "reused" took its outputs from an earlier run.
        duration_s: None while it runs.
    """

    name: str
    state: Literal["running", "done", "reused", "failed", "interrupted"]
    duration_s: float | None = None


class RunRecord(Settings):
    """One run.

    Attributes:
        run_id: UTC time of its start, such as 2026-11-22T15-04-05; also the name of its folder.
        name: `name` of its configuration.
        status: "interrupted" is also what a record that was left at "running" is shown as.
        pid: process that writes the record.
        process: tells that process apart from later ones of the same number; see `processes.mark`.
        started_at: UTC.
        finished_at: UTC; None while it runs, or where it was killed.
        config_path: configuration file that was given.
        overrides: what was changed of it with --set.
        steps: the components so far, in order.
        verdict: the decision of the gate; None where the run did not come so far.
        uris: what the run has made, by name ("candidate model").
        artifact_ids: in ML Metadata, by the same names.
        code_sha256: digest of our code, by component.
        num_examples: examples by split and class.
        refused_images: photographs that were refused, by reason.
        error: why it failed.
    """

    run_id: str
    name: str
    status: Status
    pid: int
    process: str | None = None
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    config_path: str
    overrides: Annotated[tuple[str, ...], Field(strict=False)] = ()
    steps: Annotated[tuple[StepRecord, ...], Field(strict=False)] = ()
    verdict: Verdict | None = None
    uris: dict[str, str] = Field(default_factory=dict)
    artifact_ids: dict[str, int] = Field(default_factory=dict)
    code_sha256: dict[str, str] = Field(default_factory=dict)
    num_examples: dict[str, dict[str, int]] = Field(default_factory=dict)
    refused_images: dict[str, int] = Field(default_factory=dict)
    error: str | None = None

    @property
    def duration_s(self) -> float | None:
        """Seconds from start to finish; None where it has not finished."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


@dataclass(frozen=True)
class UnreadableRun:
    """A run whose record cannot be read."""

    run_id: str
    reason: str


def runs_dir(root: Path) -> Path:
    """Where the records of a pipeline root lie."""
    return root / "runs"


def create(root: Path, configuration: Configuration, config_path: Path, overrides: Sequence[str] = ()) -> Path:
    """Starts the record of a new run, of this process.

    Returns:
        The folder of the run.

    Raises:
        ThawError: the folder cannot be written.
    """
    started_at = datetime.now(UTC)
    try:
        run_dir = _new_dir(runs_dir(root), started_at.strftime("%Y-%m-%dT%H-%M-%S"))
        (run_dir / CONFIG_FILE).write_text(resolved_yaml(configuration), encoding="utf-8")
    except OSError as error:
        raise not_writable(runs_dir(root), error) from error
    record = RunRecord(
        run_id=run_dir.name,
        name=configuration.name,
        status="running",
        pid=os.getpid(),
        process=processes.mark(os.getpid()),
        started_at=started_at,
        config_path=str(config_path.absolute()),
        overrides=tuple(overrides),
    )
    write(run_dir, record)
    return run_dir


def write(run_dir: Path, record: RunRecord) -> None:
    """Replaces the record of a run; a reader sees the old one or the new one, whole.

    Raises:
        ThawError: the folder cannot be written.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("w", dir=run_dir, prefix=".run-", encoding="utf-8", delete=False) as file:
            temporary = Path(file.name)
            file.write(record.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(run_dir / RECORD_FILE)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise not_writable(run_dir, error) from error


def read(root: Path, run_id: str) -> RunRecord:
    """Reads the record of a run; one that was left at "running" by a process that is gone reads
    "interrupted".

    Raises:
        ThawError: there is no such run, or its record cannot be read.
    """
    path = runs_dir(root) / run_id / RECORD_FILE
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ThawError(f"there is no run {run_id!r} in {runs_dir(root)}") from None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error.error_count()} problems in its contents"
        raise ThawError(f"the record {path} cannot be read: {reason}") from None
    if record.status == "running" and not _is_alive(record, root):
        return record.model_copy(update={"status": "interrupted"})
    return record


def run_ids(root: Path) -> tuple[str, ...]:
    """The runs of a pipeline root, newest first."""
    if not runs_dir(root).is_dir():
        return ()
    names = [entry.name for entry in runs_dir(root).iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return tuple(sorted(names, key=_age_order, reverse=True))


def list_runs(root: Path, limit: int | None = None) -> tuple[RunRecord | UnreadableRun, ...]:
    """Reads the records of a pipeline root, newest first; what cannot be read is listed, too.

    Args:
        root: the pipeline root.
        limit: the most runs to read; None for all.
    """
    return tuple(_read_or_reason(root, run_id) for run_id in run_ids(root)[:limit])


def _new_dir(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() ends never")


def _age_order(run_id: str) -> tuple[str, int]:
    """Runs that began in the same second are told apart by a number, which must not sort as text."""
    number = run_id[20:]
    return run_id[:19], int(number) if number.isdecimal() else 1


def _read_or_reason(root: Path, run_id: str) -> RunRecord | UnreadableRun:
    try:
        return read(root, run_id)
    except ThawError as error:
        return UnreadableRun(run_id, str(error))


def _is_alive(record: RunRecord, root: Path) -> bool:
    if record.process is None:
        return processes.mark(record.pid) is not None
    if processes.can_see(record.process):
        return processes.mark(record.pid) == record.process
    # Another container or machine: whoever runs there holds the lock, which its death would have freed.
    return root_lock.is_held_by(record.process, root)
