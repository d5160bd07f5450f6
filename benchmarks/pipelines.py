"""Runs components as `thaw run` does, and takes their times. For measured processes only: importing it imports TFX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfx.dsl.components.base import base_node
from tfx.orchestration import metadata, pipeline

from pipeline.beam import beam_arguments
from pipeline.config import BeamSettings
from pipeline.lineage import StepOutputs, read_outputs
from pipeline.local import StepEvent
from pipeline.local_runner import ObservedRunner

_RUN_ID = "benchmark"


@dataclass(frozen=True)
class ComponentRun:
    """What a run of components took and left.

    Attributes:
        durations_s: by component, its share of the metadata's work included.
        outputs: by component.
    """

    durations_s: dict[str, float]
    outputs: dict[str, StepOutputs]


def run_components(components: Sequence[base_node.BaseNode], root: Path) -> ComponentRun:
    """Runs components with the local runner, in a pipeline root of their own."""
    connection = metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
    durations_s: dict[str, float] = {}

    def note(event: StepEvent) -> None:
        if event.duration_s is not None:
            durations_s[event.name] = event.duration_s

    ObservedRunner(connection, _RUN_ID, note).run(
        pipeline.Pipeline(
            pipeline_name="benchmark",
            pipeline_root=str(root / "artifacts"),
            metadata_connection_config=connection,
            components=list(components),
            beam_pipeline_args=beam_arguments(BeamSettings()),
        )
    )
    return ComponentRun(durations_s, read_outputs(connection, _RUN_ID))
