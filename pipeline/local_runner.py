"""The part of a local run that needs TFX; `pipeline.local` is its face."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from components.fine_tuner.cache_place import CachePlace
from components.gate import verdict_schema
from pipeline.beam import give_beam_arguments
from pipeline.config import Configuration
from pipeline.graph import build_components
from pipeline.lineage import StepOutputs, read_outputs
from pipeline.local import (
    DATA_STEPS,
    TRANSFORM_STEPS,
    RunOutcome,
    StepEvent,
    StepState,
    TransformedData,
    step_names,
)
from pipeline.run_record import QUARANTINE, TRAINING_RECORD, VERDICT
from trainer import devices
from trainer.errors import ThawError
from trainer.interruption import Interrupted

OnStep = Callable[[StepEvent], None]
# Under which names a run keeps which outputs of which step.
_OUTPUTS = {
    "candidate model": ("FineTuner", "model"),
    "baseline model": ("FineTuner", "baseline_model"),
    TRAINING_RECORD: ("FineTuner", "training_record"),
    "evaluation": ("Evaluator", "evaluation"),
    VERDICT: ("Gate", "verdict"),
    QUARANTINE: ("ImageExampleGen", "quarantine"),
    "schema": ("SchemaGen", "schema"),
}
# In the words of the operating system, and of SQLite, which keeps the metadata.
_DISK_IS_FULL = ("No space left on device", "database or disk is full")


def run(configuration: Configuration, run_id: str, on_step: OnStep) -> RunOutcome:
    """See `pipeline.local.run_local`."""
    devices.prepare(configuration.infrastructure.num_cpu_replicas, configuration.infrastructure.gpus)
    os.environ.update(cache_place_of(configuration).to_environment())
    connection = metadata_connection(configuration)
    ObservedRunner(connection, run_id, on_step).run(build_pipeline(configuration))
    return _outcome(configuration, read_outputs(connection, run_id))


def ingest(configuration: Configuration, run_id: str, on_step: OnStep) -> Path:
    """See `pipeline.local.ingest_local`."""
    devices.prepare(configuration.infrastructure.num_cpu_replicas, configuration.infrastructure.gpus)
    connection = metadata_connection(configuration)
    ObservedRunner(connection, run_id, on_step, DATA_STEPS).run(build_pipeline(configuration))
    return Path(read_outputs(connection, run_id)["ImageExampleGen"].uris["quarantine"])


def transform(configuration: Configuration, run_id: str, on_step: OnStep) -> TransformedData:
    """See `pipeline.local.transform_local`."""
    devices.prepare(configuration.infrastructure.num_cpu_replicas, configuration.infrastructure.gpus)
    connection = metadata_connection(configuration)
    ObservedRunner(connection, run_id, on_step, TRANSFORM_STEPS).run(build_pipeline(configuration))
    uris = read_outputs(connection, run_id)["Transform"].uris
    return TransformedData(str(uris["transformed_examples"]), str(uris["transform_graph"]))


def cache_place_of(configuration: Configuration) -> CachePlace:
    """Where FineTuner keeps work on frozen layers."""
    infrastructure = configuration.infrastructure
    return CachePlace(configuration.model.cache, str(infrastructure.cache_folder), infrastructure.cache.max_gib)


def build_pipeline(configuration: Configuration) -> pipeline.Pipeline:
    """The graph with the places of this machine, and what its steps run Beam on."""
    infrastructure = configuration.infrastructure
    return pipeline.Pipeline(
        pipeline_name=configuration.name,
        pipeline_root=str(infrastructure.root / "artifacts"),
        metadata_connection_config=metadata_connection(configuration),
        components=give_beam_arguments(build_components(configuration), infrastructure.beam),
        enable_cache=True,
    )


def metadata_connection(configuration: Configuration) -> metadata_store_pb2.ConnectionConfig:
    """Where the metadata of a configuration's runs lie."""
    return metadata.sqlite_metadata_connection_config(str(configuration.infrastructure.root / "metadata.sqlite"))


class ObservedRunner(LocalDagRunner):
    """LocalDagRunner, one component at a time, so that somebody can be told between them.

    LocalDagRunner itself reports nothing. It passes over nodes that are marked to be skipped; so it is called once per
    component with the others marked.
    """

    def __init__(
        self,
        connection: metadata_store_pb2.ConnectionConfig,
        run_id: str,
        on_step: OnStep,
        only: Sequence[str] | None = None,
    ) -> None:
        """Makes the runner.

        Args:
            connection: to the metadata.
            run_id: of this run.
            on_step: called when a component starts and when it ends.
            only: the components to run; None for all.
        """
        super().__init__()
        self._names = only
        self._connection = connection
        self._run_id = run_id
        self._on_step = on_step

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None) -> None:
        """Runs the compiled pipeline."""
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self._run_id}
        )
        for node in pipeline.nodes:
            name = node.pipeline_node.node_info.id
            if self._names is not None and name not in self._names:
                continue
            started_at_s = time.monotonic()
            self._on_step(StepEvent(name, "started", None))
            try:
                super().run_with_ir(_only(pipeline, name), run_options)
            except Exception as error:
                ended: StepState = "interrupted" if isinstance(error, Interrupted) else "failed"
                self._on_step(StepEvent(name, ended, time.monotonic() - started_at_s))
                raise in_words(error) from error
            outputs = read_outputs(self._connection, self._run_id)[name]
            state: StepState = "reused" if outputs.is_reused else "done"
            self._on_step(StepEvent(name, state, time.monotonic() - started_at_s))


def _only(pipeline: pipeline_pb2.Pipeline, name: str) -> pipeline_pb2.Pipeline:
    """A copy of the pipeline in which every node but one is skipped."""
    copy = pipeline_pb2.Pipeline()
    copy.CopyFrom(pipeline)
    for node in copy.nodes:
        if node.pipeline_node.node_info.id != name:
            node.pipeline_node.execution_options.skip.SetInParent()
    return copy


def in_words(error: Exception) -> Exception:
    """A user's error as it is, also where Beam has wrapped it; a full disk in words; a defect as it is."""
    text = f"{error} {error.__cause__ or ''}"
    if isinstance(error, ThawError):
        return error
    if any(words in text for words in _DISK_IS_FULL):
        return ThawError("no space is left on the disk; free some, or move infrastructure.root, and run again")
    return error


def _outcome(configuration: Configuration, steps: dict[str, StepOutputs]) -> RunOutcome:
    summary = json.loads((Path(steps["ImageExampleGen"].uris["quarantine"]) / "summary.json").read_text("utf-8"))
    pushed_to = steps["Pusher"].properties["pushed_model"].get("pushed_destination")
    uris = {name: steps[step].uris[key] for name, (step, key) in _OUTPUTS.items()}
    return RunOutcome(
        verdict=verdict_schema.read(uris[VERDICT]),
        uris={**({"pushed model": str(pushed_to)} if pushed_to else {}), **uris},
        pushed_to=str(pushed_to) if pushed_to else None,
        steps=step_names(configuration),
        refused_images=summary["num_refused_by_reason"],
        num_examples=summary["num_by_split"],
        artifact_ids={name: steps[step].ids[key] for name, (step, key) in _OUTPUTS.items()},
        code_sha256={name: step.code_sha256 for name, step in steps.items() if step.code_sha256},
    )
