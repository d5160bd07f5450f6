"""One of the machines that `TF_CONFIG` names, which train together: `python -m trainer.worker JOB_FILE`.

FineTuner runs the chief like this, in a process of its own: TensorFlow can join other machines only before it has done
anything else. On the other machines it is `thaw worker` that does. The chief's FineTuner writes the job file; it lies,
as all that the job names, on a file system that all machines see at the same place.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from trainer import devices, progress
from trainer.activation_cache.store import NO_STORE
from trainer.cluster import VARIABLE, Cluster, cluster_to_join
from trainer.errors import ConfigurationError, ThawError
from trainer.run import TrainingJob, train_on
from trainer.settings import ModelSettings

JOB_FILE = "worker_job.json"
_FOR_PARENT = "--for-parent"
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class WorkerJob:
    """What all workers do.

    Attributes:
        job: where to read, and where the chief writes.
        settings: what to train.
        num_cpu_replicas: 1 to train on the CPU; None for GPUs, or the CPU where there is none.
        gpus: numbers of the GPUs that each machine trains on; None for all.
    """

    job: TrainingJob
    settings: ModelSettings
    num_cpu_replicas: int | None = None
    gpus: tuple[int, ...] | None = None


def train_with_others(path: Path, cluster: Cluster) -> None:
    """Waits for the job, joins the other machines, and trains with them; returns when the chief has written all.

    Args:
        path: of the job file.
        cluster: the machines.

    Raises:
        ThawError: see `trainer.run.run`; another machine was lost.
    """
    wanted = _wait_for(path)
    devices.prepare(wanted.num_cpu_replicas, wanted.gpus)
    strategy = devices.make_strategy(wanted.num_cpu_replicas, cluster)
    # The chief wrote it before it joined; what lay there before may have been that of an earlier, killed one.
    written = _read(path)
    if (written.num_cpu_replicas, written.gpus) != (wanted.num_cpu_replicas, wanted.gpus):
        raise ThawError("the chief has changed the devices to train on; start this worker again")
    train_on(strategy, written.job, written.settings)


def run_chief(wanted: WorkerJob, path: Path) -> None:
    """Writes the job for the other machines, and does the chief's part of it in a process of its own.

    Its progress is reported here; SIGTERM is passed on to it; it ends when this process does.

    Raises:
        ConfigurationError: this machine is not the chief.
        ThawError: the training failed, for the reason that is told.
    """
    cluster = cluster_to_join()
    if not cluster.is_chief:
        raise ConfigurationError(
            f"{VARIABLE} says that this machine is {cluster.name}; run the pipeline on the chief, and `thaw worker` "
            "here"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".being-written")
    wanted = replace(wanted, job=replace(wanted.job, cache=NO_STORE))  # it is of no use to several machines
    temporary.write_bytes(TypeAdapter(WorkerJob).dump_json(wanted))
    temporary.rename(path)
    try:
        _run_in_process([sys.executable, "-m", __name__, str(path), _FOR_PARENT])
    finally:
        path.unlink(missing_ok=True)


def _run_in_process(command: Sequence[str]) -> None:
    failure: dict[str, str] = {}
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        _passing_sigterm_on(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            told = _told(line)
            if told is None:
                print(line, end="")
            elif "error" in told:
                failure = told
            else:
                progress.report(progress.Progress(**told))
    if failure:
        raise (ConfigurationError if failure["kind"] == ConfigurationError.__name__ else ThawError)(failure["error"])
    if process.returncode:
        raise ThawError(f"the chief's training ended with status {process.returncode}; the log says why")


def _told(line: str) -> dict[str, Any] | None:
    """What the process says to its parent; None for a line that something else has printed."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and ("error" in told or "note" in told) else None


@contextmanager
def _passing_sigterm_on(process: subprocess.Popen[str]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def _wait_for(path: Path) -> WorkerJob:
    if not path.exists():
        progress.report(progress.Progress(0, None, "jobs", f"waiting for the chief to write {path}"))
    while True:
        try:
            return _read(path)
        except FileNotFoundError:
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def _read(path: Path) -> WorkerJob:
    return TypeAdapter(WorkerJob).validate_json(path.read_bytes())


def _end_with_parent() -> None:
    """A chief whose pipeline was killed would go on writing where the next attempt writes."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock a regular exit would wait for
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _tell(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def _tell_progress(report: progress.Progress) -> None:
    _tell(asdict(report))


def _print_progress(report: progress.Progress) -> None:
    print(report.note, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Trains with the others; returns the exit status: 0, 2 for a wrong `TF_CONFIG`, 1 for other errors of users."""
    for_parent = _FOR_PARENT in arguments
    paths = [argument for argument in arguments if argument != _FOR_PARENT]
    if len(paths) != 1:
        print("usage: python -m trainer.worker JOB_FILE", file=sys.stderr)
        return 2
    if for_parent:
        _end_with_parent()
    try:
        with progress.listening(_tell_progress if for_parent else _print_progress):
            train_with_others(Path(paths[0]), cluster_to_join())
    except ThawError as error:
        if for_parent:
            _tell({"error": str(error), "kind": type(error).__name__})
        else:
            print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
