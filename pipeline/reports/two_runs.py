"""Two runs side by side, whatever became of them: verdicts, metrics, data, and what differs in their configurations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from components.gate.comparison import accuracy_gain
from components.gate.predictions import Predictions, read_predictions
from components.gate.report import tables
from components.gate.report.answers import answers_of
from components.gate.statistics.proportions import PairedCounts
from components.gate.verdict_schema import Gain, MetricRow
from components.pages.rendering import render
from pipeline.cli.screen import duration, local_time
from pipeline.run_record import CONFIG_FILE, VERDICT, RunRecord
from trainer.errors import ThawError

_TEMPLATES = Path(__file__).parent / "templates"
_NOT_SET = "–"


@dataclass(frozen=True)
class OneRun:
    """A run: its record, and its resolved configuration by dotted keys; empty where that is gone."""

    record: RunRecord
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """What one row says of both runs."""

    name: str
    first: str
    second: str
    first_note: str = ""
    second_note: str = ""


@dataclass(frozen=True)
class Paired:
    """Both fine-tuned models on the test images that both runs have.

    Attributes:
        num_shared: how many these are.
        num_first: test images of the first run.
        num_second: of the second.
        gain: of the second over the first in accuracy; None where nothing is shared.
        num_gained: images that the second alone names rightly.
        num_lost: that the first alone does.
    """

    num_shared: int
    num_first: int
    num_second: int
    gain: Gain | None
    num_gained: int = 0
    num_lost: int = 0


@dataclass(frozen=True)
class TwoRuns:
    """All that is shown.

    Attributes:
        first: one run.
        second: the other.
        facts: status, start, duration and error.
        metrics: of the fine-tuned models, with intervals, then of the frozen baselines.
        data: numbers of photographs.
        settings: keys of the configuration that differ.
        paired: None where one of the runs has no predictions.
    """

    first: OneRun
    second: OneRun
    facts: Sequence[Line]
    metrics: Sequence[Line]
    data: Sequence[Line]
    settings: Sequence[Line]
    paired: Paired | None


def read_run(record: RunRecord, run_dir: Path) -> OneRun:
    """A run with its configuration."""
    try:
        content = yaml.safe_load((run_dir / CONFIG_FILE).read_text("utf-8"))
    except (OSError, yaml.YAMLError):  # a run is still told without its configuration
        content = {}
    return OneRun(record, dict(flattened(content)))


def compared(first: OneRun, second: OneRun) -> TwoRuns:
    """Everything about both."""
    return TwoRuns(
        first=first,
        second=second,
        facts=list(_facts(first.record, second.record)),
        metrics=[
            *_metrics(first.record, second.record, "candidate"),
            *_metrics(first.record, second.record, "baseline"),
        ],
        data=list(_data(first.record, second.record)),
        settings=different_settings(first.settings, second.settings),
        paired=_paired(first.record, second.record),
    )


def page_of(runs: TwoRuns) -> str:
    """The same as one HTML page that needs nothing else."""
    values = {"runs": runs, "signed": tables.signed, "bounds": tables.bounds}
    return render(_TEMPLATES, "two_runs.html.j2", values)


def flattened(content: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys of nested mappings and lists, with their values as text."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from flattened(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(content, list) and content:
        for position, value in enumerate(content):
            yield from flattened(value, f"{prefix}.{position}")
    else:
        yield prefix, "null" if content is None else str(content).lower() if isinstance(content, bool) else str(content)


def different_settings(first: Mapping[str, str], second: Mapping[str, str]) -> list[Line]:
    """The keys whose values are not the same, in the order of the file; nothing where one file is gone."""
    if not first or not second:
        return []
    keys = dict.fromkeys([*first, *second])
    return [
        Line(key, first.get(key, _NOT_SET), second.get(key, _NOT_SET))
        for key in keys
        if first.get(key) != second.get(key)
    ]


def _facts(first: RunRecord, second: RunRecord) -> Iterator[Line]:
    yield Line("status", first.status, second.status)
    yield Line("started", local_time(first.started_at), local_time(second.started_at))
    yield Line("took", duration(first.duration_s) or _NOT_SET, duration(second.duration_s) or _NOT_SET)
    yield Line("verdict", _sentence(first), _sentence(second))
    if first.error or second.error:
        yield Line("error", first.error or _NOT_SET, second.error or _NOT_SET)


def _sentence(record: RunRecord) -> str:
    if record.verdict is None:
        return "none: the run did not come to the gate"
    approval = record.verdict.approval
    return record.verdict.sentence + (f" {approval.who} had it pushed all the same: {approval.why}" if approval else "")


def _metrics(first: RunRecord, second: RunRecord, model: str) -> Iterator[Line]:
    rows = [{row.name: row for row in record.verdict.metrics} if record.verdict else {} for record in (first, second)]
    title = {"candidate": "fine-tuned", "baseline": "frozen baseline"}[model]
    for name in dict.fromkeys([*rows[0], *rows[1]]):
        cells = [_cell(found.get(name), model) for found in rows]
        yield Line(f"{name}, {title}", cells[0][0], cells[1][0], cells[0][1], cells[1][1])


def _cell(row: MetricRow | None, model: str) -> tuple[str, str]:
    if row is None:
        return _NOT_SET, ""
    return tables.number(getattr(row, model)), tables.bounds(tables.within_range(row, f"{model}_interval"))


def _data(first: RunRecord, second: RunRecord) -> Iterator[Line]:
    records = (first, second)
    splits = dict.fromkeys(split for record in records for split in record.num_examples)
    for split in splits:
        counts = [record.num_examples.get(split) for record in records]
        texts = [f"{sum(count.values()):,}" if count is not None else _NOT_SET for count in counts]
        yield Line(split, *texts)
    classes = [{label for counts in record.num_examples.values() for label in counts} for record in records]
    if any(classes):
        yield Line("classes", *(f"{len(labels):,}" if labels else _NOT_SET for labels in classes))
        for name, labels in (
            ("only in the first", classes[0] - classes[1]),
            ("only in the second", classes[1] - classes[0]),
        ):
            if labels and all(classes):
                listed = ", ".join(sorted(labels)[:10]) + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")
                yield Line(f"classes {name}", *((listed, _NOT_SET) if "first" in name else (_NOT_SET, listed)))
        yield Line("refused", *(f"{sum(record.refused_images.values()):,}" for record in records))


def _paired(first: RunRecord, second: RunRecord) -> Paired | None:
    """Test images are the same where their bytes are."""
    try:
        found = [read_predictions(record.uris[VERDICT]) for record in (first, second)]
    except (KeyError, ThawError):  # a run that did not come to the gate, or whose artifacts are gone
        return None
    rights = [_right_by_content(predictions) for predictions in found]
    shared = sorted(rights[0].keys() & rights[1].keys())
    num_first, num_second = (len(predictions.examples.labels) for predictions in found)
    if not shared:
        return Paired(0, num_first, num_second, gain=None)
    theirs, ours = (np.array([right[key] for key in shared]) for right in rights)
    gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    alpha = second.verdict.settings.alpha if second.verdict else 0.05
    gain = accuracy_gain(PairedCounts(gained, lost, len(shared)), alpha)
    return Paired(len(shared), num_first, num_second, gain=gain, num_gained=gained, num_lost=lost)


def _right_by_content(predictions: Predictions) -> dict[tuple[str, str], bool]:
    """Whether the candidate is right, by digest and true class of each test image."""
    is_right = answers_of(predictions).is_right("candidate").tolist()
    examples = predictions.examples
    return dict(zip(zip(examples.content_sha256, examples.labels, strict=True), is_right, strict=True))
