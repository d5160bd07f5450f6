"""The report of a run: the gate's own, with what only whoever started the run knows."""

import hashlib
import os
import shlex
from pathlib import Path

from components.gate.report.content import ArtifactFacts, Lineage, ReportContent, RunFacts, StepFacts
from components.gate.report.page import page
from components.gate.report.reading import REPORT_FILE, read_content
from components.gate.verdict_schema import Verdict
from pipeline.cli.screen import command_name, duration
from pipeline.run_record import CONFIG_FILE, QUARANTINE, TRAINING_RECORD, VERDICT, RunRecord
from trainer.errors import ThawError


def write_run_report(record: RunRecord, run_dir: Path) -> Path:
    """Writes the page into the folder of the run, whole or not at all.

    Args:
        record: of a run that has a verdict.
        run_dir: its folder.

    Raises:
        ThawError: the folder cannot be written.
    """
    assert record.verdict is not None
    text = page(content_of(record, record.verdict, run_dir))
    target = run_dir / REPORT_FILE
    temporary = run_dir / f".{REPORT_FILE}.{os.getpid()}"
    try:
        temporary.write_text(text, "utf-8", "replace")
        temporary.replace(target)
    except OSError as error:
        raise ThawError(f"the report {target} cannot be written: {error.strerror or error}") from None
    return target


def content_of(record: RunRecord, verdict: Verdict, run_dir: Path | None = None) -> ReportContent:
    """What the report of a run shows.

    Args:
        record: of the run.
        verdict: with the approval, where there is one.
        run_dir: folder of the run; None leaves out what is only of this run and not of its models.
    """
    ids = record.artifact_ids
    return read_content(
        verdict,
        record.uris.get(VERDICT),
        record.uris.get(TRAINING_RECORD),
        record.uris.get(QUARANTINE),
        title=record.name,
        lineage=Lineage(
            artifacts=[ArtifactFacts(name, ids.get(name), uri) for name, uri in record.uris.items()],
            code_sha256=record.code_sha256,
            run=run_facts(record, run_dir) if run_dir else None,
        ),
    )


def run_facts(record: RunRecord, run_dir: Path) -> RunFacts:
    """What the record of a run says, in words."""
    configuration = _text(run_dir / CONFIG_FILE)
    overrides = [word for override in record.overrides for word in ("--set", override)]
    return RunFacts(
        run_id=record.run_id,
        status=record.status,
        started_at=record.started_at.strftime("%Y-%m-%d %H:%M UTC"),
        took=duration(record.duration_s),
        command=shlex.join([command_name(), "run", str(run_dir / CONFIG_FILE)]),
        given_as=shlex.join([command_name(), "run", record.config_path, *overrides]),
        configuration=configuration,
        configuration_sha256=hashlib.sha256(configuration.encode()).hexdigest(),
        pushed_to=record.uris.get("pushed model", ""),
        steps=[StepFacts(step.name, step.state, duration(step.duration_s)) for step in record.steps],
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # a run is still told without its configuration
        return ""
