"""From what lies on the disk to what a report shows; what is gone is left out, and the page says so."""

import json
import logging
from pathlib import Path
from typing import Any

from components.gate.predictions import Predictions, read_predictions
from components.gate.report.content import Lineage, ReportContent
from components.gate.report.galleries import read_galleries
from components.gate.verdict_schema import Verdict
from trainer.errors import ThawError

REPORT_FILE = "report.html"
_TRAINING_FILE = "training.json"
_DATA_FILE = "summary.json"


def read_content(
    verdict: Verdict,
    folder: str | Path | None,
    training_record: str | None,
    quarantine: str | None,
    title: str = "",
    lineage: Lineage | None = None,
) -> ReportContent:
    """Everything that a report of this verdict shows.

    Args:
        verdict: the decision.
        folder: that it lies in, with the predictions and the gallery; None where it is not known.
        training_record: folder of the training record; None where it is not known.
        quarantine: folder of the account of the ingestion; likewise.
        title: of the report.
        lineage: where it all comes from.
    """
    return ReportContent(
        verdict=verdict,
        title=title,
        predictions=_predictions(folder) if folder else None,
        galleries=read_galleries(folder) if folder else (),
        training=_json(training_record, _TRAINING_FILE),
        data=_json(quarantine, _DATA_FILE),
        lineage=lineage or Lineage(),
    )


def _predictions(folder: str | Path) -> Predictions | None:
    try:
        return read_predictions(folder)
    except ThawError as error:
        logging.info("the report is written without the predictions: %s", error)
        return None


def _json(folder: str | None, name: str) -> dict[str, Any]:
    """The content of a file; empty where it is gone, as artifacts of old runs may be."""
    if not folder:
        return {}
    try:
        content: dict[str, Any] = json.loads((Path(folder) / name).read_text("utf-8", "surrogateescape"))
    except (OSError, ValueError) as error:
        logging.info("the report is written without %s in %s: %s", name, folder, error)
        return {}
    return content
