"""What Beam is told for each step that uses it: its command line, from the configuration."""

from collections.abc import Iterator, Sequence
from typing import cast

from tfx.dsl.components.base import base_beam_component, base_node

from components.beam_workers import SHARED_FOLDER_FLAG, WORKSPACE_FLAG
from pipeline.config import BeamSettings, RunnerSettings
from pipeline.config.beam import BeamStep, Workers

IN_PROCESS_RUNNER = "components.in_process_runner.InProcessRunner"

_RUNNERS = {
    "direct": IN_PROCESS_RUNNER,
    "dataflow": "DataflowRunner",
    # Beam's FlinkRunner and SparkRunner are this one, and would start a job server if none were named.
    "flink": "PortableRunner",
    "spark": "PortableRunner",
    "portable": "PortableRunner",
}
# Beam also bounds by it how long a job's messages are listened to, where the job server knows jobs by one name.
_MAX_JOB_S = 7 * 24 * 3600


def give_beam_arguments(nodes: Sequence[base_node.BaseNode], beam: BeamSettings) -> Sequence[base_node.BaseNode]:
    """Tells each component that uses Beam how; the others are left as they are. Returns the same nodes."""
    for node in nodes:
        if isinstance(node, base_beam_component.BaseBeamComponent):
            node.with_beam_pipeline_args(beam_arguments(beam.of(cast(BeamStep, node.id))))
    return nodes


def beam_arguments(settings: RunnerSettings) -> list[str]:
    """Beam's command line for one step."""
    arguments = [f"--runner={_RUNNERS[settings.runner]}"]
    if not settings.is_remote:
        arguments += [
            f"--direct_running_mode={settings.direct_running_mode}",
            f"--direct_num_workers={settings.direct_num_workers}",
        ]
    return [*arguments, *_remote(settings), *_code(settings), *settings.options]


def _remote(settings: RunnerSettings) -> Iterator[str]:
    if settings.job_endpoint is not None:
        yield f"--job_endpoint={settings.job_endpoint}"
        yield f"--job_server_timeout={_MAX_JOB_S}"
        yield from _environment(cast(Workers, settings.workers))
    keys = ("artifact_endpoint", "parallelism", "project", "region", "temp_location", "num_workers", "max_num_workers")
    yield from (f"--{key}={value}" for key in keys if (value := getattr(settings, key)) is not None)
    if settings.is_elsewhere:
        yield f"{WORKSPACE_FLAG}={settings.place_of_exchange}"
        yield from (f"{SHARED_FOLDER_FLAG}={folder}" for folder in settings.shared_folders)


def _environment(workers: Workers) -> Iterator[str]:
    if workers.pool is not None:
        yield from ("--environment_type=EXTERNAL", f"--environment_config={workers.pool}")
    elif workers.image is not None:
        yield from ("--environment_type=DOCKER", f"--environment_config={workers.image}")
    elif workers.command is not None:
        yield from ("--environment_type=PROCESS", f"--environment_option=process_command={workers.command}")
    else:
        yield "--environment_type=LOOPBACK"


def _code(settings: RunnerSettings) -> Iterator[str]:
    """Where the workers have our code from.

    Without an answer, TFX packs its own source for them, without ours and in every component that has a Beam executor:
    four seconds each (tfx.utils.dependency_utils). A name that no image has keeps it from that where none is needed.
    """
    yield f"--sdk_container_image={(settings.workers and settings.workers.image) or 'none'}"
    if settings.setup_file is not None:
        yield f"--setup_file={settings.setup_file}"
