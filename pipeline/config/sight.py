"""Whether workers of Beam on other machines can see the files that they are to read."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from pipeline.config.beam import BEAM_STEPS, BeamSettings, BeamStep, RunnerSettings
from pipeline.config.kubeflow import KubeflowSettings


def what_workers_cannot_see(images: str, beam: BeamSettings, kubeflow: KubeflowSettings | None) -> Iterator[str]:
    """What is plainly out of their sight, in words.

    Args:
        images: the photographs: a path of this machine, or a place in a bucket.
        beam: what the steps run on.
        kubeflow: the pods, where there are some.
    """
    ingestion = beam.of("ImageExampleGen")
    if ingestion.is_elsewhere and "://" not in images and not ingestion.can_see(images):
        yield (
            f"data.images is {images!r}, a place of this machine, which the workers of infrastructure.beam, runner "
            f"{ingestion.runner}, cannot see; {_remedy(ingestion)}"
        )
    for step in BEAM_STEPS:
        if kubeflow is not None:
            yield from _unmounted(step, beam.of(step), kubeflow)


def _remedy(settings: RunnerSettings) -> str:
    if settings.runner == "dataflow":
        return (
            "put them into a bucket, gs://… or s3://…, or let ImageExampleGen run here: "
            "steps: {ImageExampleGen: {runner: direct}}"
        )
    return (
        "mount their folder under the same path where the workers run, and list it in "
        "infrastructure.beam.shared_folders; or put them into a bucket"
    )


def _unmounted(step: BeamStep, settings: RunnerSettings, kubeflow: KubeflowSettings) -> Iterator[str]:
    workspace = settings.place_of_exchange
    if not settings.is_elsewhere or workspace is None or "://" in workspace:
        return
    mounted = [volume.mount_path for volume in kubeflow.of(step).volumes]
    if not any(PurePosixPath(workspace).is_relative_to(path) for path in mounted):
        yield (
            f"infrastructure.beam.workspace is {workspace!r}, but no volume of infrastructure.kubeflow is mounted "
            f"there in the pod of {step}; add {{claim: …, mount_path: {workspace}}} to steps.{step}.volumes or "
            "default.volumes"
        )
