"""Unpacks artifacts and properties for `components.gate.run.run`, and writes the blessing."""

import os
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.evaluator import constants
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.evaluator.results import BASELINE, CANDIDATE, read_metrics
from components.gate.evidence import Evaluation
from components.gate.production import find_production
from components.gate.report.content import ArtifactFacts, Lineage
from components.gate.run import GateJob, run
from components.gate.settings import GateSettings, Metric
from trainer.errors import ThawError


class Executor(base_executor.BaseExecutor):
    """Writes `blessing`, `verdict` and `approved_model`, which is empty where nothing may be pushed."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        candidate = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        verdict_artifact = artifact_utils.get_single_instance(output_dict["verdict"])
        job = GateJob(
            test_examples=_files(artifact_utils.get_split_uri(input_dict["examples"], "test")),
            candidate=candidate,
            baseline=path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["baseline_model"])),
            production=_production(exec_properties, candidate),
            verdict=verdict_artifact.uri,
            approved_model=path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["approved_model"])),
            training_record=artifact_utils.get_single_uri(input_dict["training_record"]),
            quarantine=artifact_utils.get_single_uri(input_dict["quarantine"]),
            title=self._title(),
            lineage=_lineage(input_dict, exec_properties),
        )
        settings = GateSettings.model_validate_json(exec_properties["gate_settings"])
        verdict = run(job, settings, _evaluation(input_dict))
        verdict_artifact.set_int_custom_property("approved", int(verdict.approved))
        verdict_artifact.set_string_custom_property("pushes", verdict.pushes)
        verdict_artifact.set_string_custom_property("sentence", verdict.sentence)
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), verdict.pushes != "nothing")

    def _title(self) -> str:
        """The name of the pipeline, where whoever runs this says it."""
        info = self._context.pipeline_info if self._context else None
        return str(info.id) if info else ""


def _lineage(input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]) -> Lineage:
    return Lineage(
        artifacts=[
            ArtifactFacts(name.replace("_", " "), artifact.id or None, artifact.uri)
            for name, artifacts in input_dict.items()
            for artifact in artifacts
        ],
        code_sha256={"Gate": exec_properties["code_digest"]},
    )


def _files(split_uri: str) -> tuple[str, ...]:
    return tuple(os.path.join(split_uri, name) for name in sorted(fileio.listdir(split_uri)))


def _production(exec_properties: dict[str, Any], candidate: str) -> str | None:
    found = find_production(exec_properties["push_destination"], candidate)
    expected = exec_properties.get("production_sha256")
    if expected is not None and expected != (found.sha256 if found else ""):
        destination = exec_properties["push_destination"]
        raise ThawError(f"the newest version in {destination!r} changed since the gate was started; run again")
    return str(found.folder) if found else None


def _evaluation(input_dict: dict[str, list[types.Artifact]]) -> Evaluation:
    uri = artifact_utils.get_single_uri(input_dict["evaluation"])
    candidate, baseline = (read_metrics(uri, name) for name in (CANDIDATE, BASELINE))
    return Evaluation(
        is_blessed=model_utils.is_model_blessed(artifact_utils.get_single_instance(input_dict["evaluation_blessing"])),
        metrics={"candidate": _checked(candidate), "baseline": _checked(baseline)},
    )


def _checked(metrics: dict[str, float | None]) -> dict[Metric, float | None]:
    return {"accuracy": metrics["accuracy"], "log_loss": metrics["log_loss"]}


def _bless(blessing: types.Artifact, is_blessed: bool) -> None:
    """As TFX's Evaluator does: a file, and a property."""
    name = constants.BLESSED_FILE_NAME if is_blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(str(Path(blessing.uri) / name), "")
    value = constants.BLESSED_VALUE if is_blessed else constants.NOT_BLESSED_VALUE
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
