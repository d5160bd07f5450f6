"""The gate from folders to folders, without TFX: predictions, verdict, report, and the model that may go out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from components.gate import verdict_schema
from components.gate.comparison import compare
from components.gate.evidence import Evaluation, Evidence
from components.gate.inference import Sample, open_model, predict, read_images
from components.gate.judge import Stopgap, candidate_rules, is_approved, judge
from components.gate.predictions import ModelName, Predictions, write_predictions
from components.gate.production import fingerprint, size_mib
from components.gate.release import write_release
from components.gate.report.content import Lineage, ReportContent
from components.gate.report.galleries import write_galleries
from components.gate.report.page import page
from components.gate.report.reading import REPORT_FILE, read_content
from components.gate.settings import GateSettings
from components.gate.smoke_test import SmokeTest, smoke_test
from components.gate.verdict_schema import ModelFacts, Verdict, readable
from components.gate.warm_up import FILE_NAME, write_warm_up
from trainer.errors import ThawError
from trainer.serving import read_model_labels


@dataclass(frozen=True)
class GateJob:
    """Where the gate reads and writes.

    Attributes:
        test_examples: TFRecord files of raw examples, in order.
        candidate: folder of the fine-tuned SavedModel.
        baseline: folder of the frozen-only SavedModel.
        production: folder of the production model; None where there is none.
        verdict: folder for the verdict, the predictions and the warm-up requests.
        approved_model: folder for what may be pushed; not made where nothing may.
        training_record: folder of the training record, for the report; None for a report without it.
        quarantine: folder of the account of the ingestion, likewise.
        title: of the report.
        lineage: where all this comes from, for the report.
    """

    test_examples: Sequence[str]
    candidate: str
    baseline: str
    production: str | None
    verdict: str
    approved_model: str
    training_record: str | None = None
    quarantine: str | None = None
    title: str = ""
    lineage: Lineage = field(default_factory=Lineage)


def run(job: GateJob, settings: GateSettings, evaluation: Evaluation) -> Verdict:
    """Judges the candidate.

    Args:
        job: where to read and write.
        settings: the rules.
        evaluation: what TFMA found.

    Raises:
        ThawError: candidate or baseline cannot be asked, or there are no test examples.
    """
    folders, failure = _models(job)
    predictions, samples = predict(folders, job.test_examples, settings.slice_features)
    write_predictions(predictions, job.verdict)
    write_warm_up(Path(job.verdict) / FILE_NAME, [sample.image for sample in samples])
    evidence = _evidence(folders, failure, predictions, samples, evaluation, settings)
    stopgap = _stopgap(folders, predictions, samples, evidence, settings)
    if stopgap is not None:
        models = {**evidence.models, "baseline": _facts(folders["baseline"], stopgap.smoke_test)}
        evidence = Evidence(**{**evidence.__dict__, "models": models})
    verdict = judge(evidence, settings, stopgap)
    verdict_schema.write(verdict, job.verdict)
    content = _explain(verdict, predictions, job)
    if verdict.pushes != "nothing":
        warm_up = Path(job.verdict) / FILE_NAME
        write_release(folders[verdict.pushes], warm_up, content, verdict.pushes, job.approved_model)
    return verdict


def _explain(verdict: Verdict, predictions: Predictions, job: GateJob) -> ReportContent:
    """Writes the report and its gallery beside the verdict."""
    write_galleries(predictions, partial(read_images, job.test_examples), job.verdict)
    content = read_content(verdict, job.verdict, job.training_record, job.quarantine, job.title, job.lineage)
    (Path(job.verdict) / REPORT_FILE).write_text(page(content), "utf-8", "replace")
    return content


def _models(job: GateJob) -> tuple[dict[ModelName, str], str]:
    """The models that can be asked, and why production cannot."""
    folders: dict[ModelName, str] = {"candidate": job.candidate, "baseline": job.baseline}
    if job.production is None:
        return folders, ""
    try:
        open_model(job.production)
    except (ThawError, OSError, ValueError) as error:
        return folders, str(error)
    return {**folders, "production": job.production}, ""


def _evidence(
    folders: dict[ModelName, str],
    failure: str,
    predictions: Predictions,
    samples: Sequence[Sample],
    evaluation: Evaluation,
    settings: GateSettings,
) -> Evidence:
    found = _smoke_test("candidate", folders, predictions, samples)
    has_production = "production" in folders
    return Evidence(
        predictions=predictions,
        against_baseline=compare(predictions, "candidate", "baseline", settings),
        against_production=compare(predictions, "candidate", "production", settings) if has_production else None,
        production_failure=failure,
        evaluation=evaluation,
        smoke_test=found,
        models={name: _facts(folder, found if name == "candidate" else None) for name, folder in folders.items()},
    )


def _smoke_test(
    name: ModelName, folders: dict[ModelName, str], predictions: Predictions, samples: Sequence[Sample]
) -> SmokeTest:
    num_classes = len({predictions.examples.labels[sample.index] for sample in samples})
    return smoke_test(folders[name], samples, predictions.models[name].scores, num_classes)


def _facts(folder: str, found: SmokeTest | None) -> ModelFacts:
    return ModelFacts(
        uri=folder,
        sha256=fingerprint(folder),
        version=Path(folder).name if Path(folder).name.isdecimal() else None,
        labels=tuple(map(readable, read_model_labels(Path(folder)))),
        size_mib=size_mib(folder),
        num_parameters=found.num_parameters if found else None,
        latency=found.latency if found else (),
    )


def _stopgap(
    folders: dict[ModelName, str],
    predictions: Predictions,
    samples: Sequence[Sample],
    evidence: Evidence,
    settings: GateSettings,
) -> Stopgap | None:
    """The frozen baseline, examined only where it may be needed."""
    if settings.on_refusal != "push_baseline" or is_approved(candidate_rules(evidence, settings)):
        return None
    return Stopgap(
        against_production=compare(predictions, "baseline", "production", settings)
        if "production" in folders
        else None,
        smoke_test=_smoke_test("baseline", folders, predictions, samples),
    )
