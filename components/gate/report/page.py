"""The report as one HTML page that needs nothing else: pictures inside, no script, nothing from elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.gate.predictions import ModelName
from components.gate.report import tables
from components.gate.report.answers import Answers, answers_of
from components.gate.report.content import ReportContent
from components.gate.report.galleries import MOST_BYTES
from components.gate.report.matrices import OTHERS, matrices_of
from components.gate.report.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from components.gate.report.reliability import bins_of, reliability_plots
from components.gate.report.training import epoch_rows, is_known, phase_rows, training_plots
from components.gate.verdict_schema import Verdict, readable
from components.pages.rendering import render

TEMPLATES = Path(__file__).parent / "templates"
TITLES: dict[ModelName, str] = {"candidate": "fine-tuned", "baseline": "frozen baseline", "production": "production"}

_MOST_DATA_ROWS = 60


def page(content: ReportContent) -> str:
    """The page, as HTML that can be encoded in UTF-8."""
    verdict = content.verdict
    shown, harmless = tables.folded(verdict.rules)
    values = {
        "content": content,
        "verdict": verdict,
        "decision": decision(verdict, is_pushed=bool(content.lineage.run and content.lineage.run.pushed_to)),
        "tally": tables.tally(verdict.rules),
        "rules": tables.rule_rows(shown),
        "folded_rules": tables.rule_rows(harmless),
        "folded_tally": tables.tally(harmless),
        "metrics": tables.metric_lines(verdict),
        "confidence": f"{1 - 2 * verdict.settings.alpha:.0%}",
        "has_production": "production" in verdict.models,
        "power": tables.power_sentences(verdict.power, verdict),
        "subsets": _subsets(verdict),
        "most_mib": MOST_BYTES / 2**20,
        "num_bytes": sum(len(item.picture or b"") for gallery in content.galleries for item in gallery.photographs),
        "titles": TITLES,
        "readable": readable,
        "frame": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
        **_training(content),
        **_answers(content),
        **_data(content.data),
    }
    return render(TEMPLATES, "report.html.j2", values)


def decision(verdict: Verdict, is_pushed: bool) -> dict[str, str]:
    """The verdict in a word, with a sign and a tone.

    Args:
        verdict: of the gate.
        is_pushed: whether the model is known to have been pushed since.
    """
    if verdict.approved:
        return {"word": "Pushed" if is_pushed else "Passed", "sign": "✓", "tone": "good"}
    if verdict.approval is not None:
        return {"word": "Refused, and pushed all the same", "sign": "■", "tone": "open"}
    if verdict.pushes == "baseline":
        word = "Refused; the frozen baseline " + ("is pushed" if is_pushed else "may be pushed")
        return {"word": word, "sign": "■", "tone": "open"}
    return {"word": "Refused", "sign": "■", "tone": "bad"}


def _subsets(verdict: Verdict) -> list[tables.SubsetTable]:
    found = [tables.subset_table("Classes", verdict.class_metrics, verdict)]
    features = dict.fromkeys(row.feature for row in verdict.slices)
    for feature in features:
        rows = [row for row in verdict.slices if row.feature == feature]
        found.append(tables.subset_table(f"Slices by {feature}", rows, verdict))
    return [table for table in found if table.lines]


def _training(content: ReportContent) -> dict[str, Any]:
    if not is_known(content.training):
        return {"phases": [], "epochs": [], "training_plots": []}
    return {
        "phases": phase_rows(content.training),
        "epochs": epoch_rows(content.training),
        "training_plots": training_plots(content.training),
    }


def _answers(content: ReportContent) -> dict[str, Any]:
    if content.predictions is None:
        return {"matrices": None, "bins": {}, "reliability_plots": [], "others": OTHERS}
    answers = answers_of(content.predictions)
    titles = _in_order(answers)
    bins = {name: bins_of(answers, name, content.verdict.settings.alpha) for name in titles}
    return {
        "matrices": matrices_of(answers, titles),
        "bins": bins,
        "reliability_plots": reliability_plots(bins, titles),
        "others": OTHERS,
    }


def _in_order(answers: Answers) -> dict[ModelName, str]:
    """The frozen baseline first, then what came of it, then production."""
    order: tuple[ModelName, ...] = ("baseline", "candidate", "production")
    return {name: TITLES[name] for name in order if name in answers.named}


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    by_split: Mapping[str, Mapping[str, int]] = data.get("num_by_split", {})
    labels = {label for counts in by_split.values() for label in counts}
    rows = [(label, [counts.get(label, 0) for counts in by_split.values()]) for label in labels]
    return {
        "splits": {split: sum(counts.values()) for split, counts in by_split.items()},
        "data_rows": sorted(rows, key=lambda row: (-sum(row[1]), row[0]))[:_MOST_DATA_ROWS],
        "num_data_rows": len(rows),
    }
