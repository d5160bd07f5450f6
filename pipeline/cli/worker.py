"""`thaw worker`."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.screen import stdout_console
from pipeline.config import load_configuration
from trainer import progress
from trainer.cluster import cluster_to_join


def worker(config_path: Path, overrides: Sequence[str]) -> int:
    """Trains with the chief, which runs the pipeline; returns when the chief has written all.

    Returns:
        The exit status.
    """
    configuration = load_configuration(config_path, overrides)
    cluster = cluster_to_join()
    from trainer.worker import JOB_FILE, train_with_others  # TensorFlow

    # FineTuner writes it there, see components.fine_tuner.executor.job_file.
    path = configuration.infrastructure.root / "artifacts" / "FineTuner" / ".system" / JOB_FILE
    console = stdout_console()
    console.print(f"{cluster.name} of {len(cluster.all_addresses)} machines")
    with progress.listening(lambda report: console.print(report.note)):
        train_with_others(path, cluster)
    return 0
