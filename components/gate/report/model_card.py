"""The card that goes with a pushed model: what it is, what it was trained and measured on, and where its limits are."""

import re
from pathlib import Path
from typing import Any

from components.gate.report import tables
from components.gate.report.content import ReportContent
from components.gate.report.page import TEMPLATES, TITLES
from components.gate.report.training import is_known, phase_rows
from components.gate.verdict_schema import MetricRow, Subject
from components.pages.rendering import printable
from components.release_names import MODEL_CARD

FILE_NAME = MODEL_CARD
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#&~])")
_MOST_CLASSES = 40


def model_card(content: ReportContent, subject: Subject) -> str:
    """The card, as Markdown.

    It says nothing of the machine or the time, so that the same model has the same card.

    Args:
        content: of the report.
        subject: the model that is pushed.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: in_markdown(value) if type(value) is str else value,
    )
    environment.filters.update(thousands=lambda number: f"{number:,}")
    return environment.get_template("model_card.md.j2").render(_values(content, subject))


def in_markdown(text: str) -> str:
    """The text so that no character of it is taken for a mark: class names may hold any."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def _values(content: ReportContent, subject: Subject) -> dict[str, Any]:
    verdict = content.verdict
    classes = sorted(verdict.class_metrics, key=lambda row: (_value(row.accuracy, subject) or 0.0, row.name))
    settings = content.training["settings"] if is_known(content.training) else {}
    by_split = content.data.get("num_by_split", {})
    return {
        "content": content,
        "verdict": verdict,
        "facts": verdict.models[subject],
        "what": TITLES[subject],
        "is_candidate": subject == "candidate",
        "settings": settings,
        "weights": Path(settings.get("weights") or "").name,
        "phases": phase_rows(content.training) if is_known(content.training) else [],
        "splits": {split: sum(counts.values()) for split, counts in by_split.items()},
        "confidence": f"{1 - 2 * verdict.settings.alpha:.0%}",
        "metrics": [(row.name, *_estimate(row, subject)) for row in verdict.metrics],
        "classes": [(row.name, row.num_examples, *_estimate(row.accuracy, subject)) for row in classes[:_MOST_CLASSES]],
        "num_classes": len(classes),
        "power": tables.power_sentences(verdict.power, verdict),
        "untold": [rule.name for rule in verdict.rules if rule.outcome == "cannot be told" and rule.subject == subject],
        "smallest": min((row.num_examples for row in verdict.class_metrics), default=0),
    }


def _value(row: MetricRow, subject: Subject) -> float | None:
    value: float | None = getattr(row, subject)
    return value


def _estimate(row: MetricRow, subject: Subject) -> tuple[str, str]:
    return tables.number(_value(row, subject)), tables.bounds(tables.within_range(row, f"{subject}_interval")) or "–"


def write_model_card(content: ReportContent, subject: Subject, folder: str | Path) -> None:
    """Writes the card into a folder, which is made where it is missing."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / FILE_NAME).write_text(model_card(content, subject), "utf-8", "replace")
