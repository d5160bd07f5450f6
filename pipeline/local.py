"""Runs the pipeline on this machine with TFX's LocalDagRunner, and tells what came out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from components.gate.verdict_schema import Verdict
from pipeline.config import Configuration
from pipeline.config.kubeflow import StepName

DATA_STEPS = ("ImageExampleGen",)
"""The components that take the photographs in."""

TRANSFORM_STEPS = (*DATA_STEPS, "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")
"""The components that make training data of them."""

StepState = Literal["started", "done", "reused", "failed", "interrupted"]


@dataclass(frozen=True)
class StepEvent:
    """A component has started or ended.

    Attributes:
        name: of the component.
        state: "reused" took its outputs from an earlier run; "interrupted" was told to stop, and did.
        duration_s: seconds since it started; None while it runs.
    """

    name: str
    state: StepState
    duration_s: float | None


@dataclass(frozen=True)
class RunOutcome:
    """What a finished run has made.

    Attributes:
        verdict: the gate's decision.
        uris: places of the artifacts, by name.
        pushed_to: folder of the version that is served now; None if nothing was pushed.
        steps: the components, in order.
        refused_images: number of refused files by reason.
        num_examples: number of examples by split and class.
        artifact_ids: in ML Metadata, by the names of `uris`.
        code_sha256: digest of our code, by component.
    """

    verdict: Verdict
    uris: dict[str, str]
    pushed_to: str | None
    steps: tuple[str, ...]
    refused_images: dict[str, int] = field(default_factory=dict)
    num_examples: dict[str, dict[str, int]] = field(default_factory=dict)
    artifact_ids: dict[str, int] = field(default_factory=dict)
    code_sha256: dict[str, str] = field(default_factory=dict)


def step_names(configuration: Configuration) -> tuple[str, ...]:
    """The components in the order in which they run; nothing heavy is imported for it."""
    return get_args(StepName)


def run_local(configuration: Configuration, run_dir: Path, on_step: Callable[[StepEvent], None]) -> RunOutcome:
    """Runs all components that the cache does not answer for.

    Args:
        configuration: what to run.
        run_dir: folder of the run's record; its name becomes the run's id in the metadata.
        on_step: called when a component starts and when it ends.

    Raises:
        ThawError: the run failed for a reason that the message explains.
    """
    from pipeline import local_runner  # TFX takes half a minute to import; `thaw --help` must not pay for it

    return local_runner.run(configuration, run_dir.name, on_step)


def ingest_local(configuration: Configuration, run_id: str, on_step: Callable[[StepEvent], None]) -> Path:
    """Runs the components that take the photographs in, or reuses what they made of the same photographs.

    Args:
        configuration: what to take in.
        run_id: the run's id in the metadata.
        on_step: called when a component starts and when it ends.

    Returns:
        The folder of the quarantine artifact: summary, refusals, duplicates and report.

    Raises:
        ThawError: the ingestion failed for a reason that the message explains.
    """
    from pipeline import local_runner

    return local_runner.ingest(configuration, run_id, on_step)


@dataclass(frozen=True)
class TransformedData:
    """Where training data is.

    Attributes:
        examples: folder with a folder of transformed examples per split.
        transform_graph: folder of the preprocessing graph and the label vocabulary.
    """

    examples: str
    transform_graph: str


def transform_local(configuration: Configuration, run_id: str, on_step: Callable[[StepEvent], None]) -> TransformedData:
    """Runs the components that make training data, or reuses what they made of the same photographs.

    Args:
        configuration: what to take in.
        run_id: the run's id in the metadata.
        on_step: called when a component starts and when it ends.

    Raises:
        ThawError: a component failed for a reason that the message explains.
    """
    from pipeline import local_runner

    return local_runner.transform(configuration, run_id, on_step)
