"""Starting a run of a compiled pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.kubeflow.package import Package


@dataclass(frozen=True)
class RunSettings:
    """What a run or a schedule is given besides the pipeline.

    Attributes:
        arguments: of the pipeline.
        pipeline_root: URL of the folder of all artifacts; None for the cluster's own.
        experiment: groups runs; None for the pipeline's name.
        service_account: that the steps run as; None for the cluster's own.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    pipeline_root: str | None = None
    experiment: str | None = None
    service_account: str | None = None


def submit(client: Any, package: Package, settings: RunSettings, name: str | None = None) -> str:
    """Starts a run; the pipeline travels with it and is not uploaded, so that no schedule is touched.

    Args:
        client: see `connected`.
        package: the pipeline.
        settings: of the run.
        name: shown to people; None for the pipeline's name and the time.

    Returns:
        The run's id.
    """
    run = client.run_pipeline(
        experiment_id=experiment_id(client, settings.experiment or package.name),
        job_name=name or f"{package.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        pipeline_package_path=str(package.path),
        params=dict(settings.arguments),
        pipeline_root=settings.pipeline_root,
        service_account=settings.service_account,
    )
    return str(run.run_id)


def experiment_id(client: Any, name: str) -> str:
    """The id of the experiment of that name, which is made where there is none."""
    return str(client.create_experiment(name).experiment_id)
