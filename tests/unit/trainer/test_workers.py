"""Two processes that train together on this machine, as two machines would: real servers, ports and signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings

from trainer import progress
from trainer.errors import ConfigurationError, ThawError
from trainer.run import TrainingJob, run
from trainer.settings import ModelSettings
from trainer.training import TrainingData
from trainer.worker import WorkerJob, run_chief

pytestmark = pytest.mark.slow

NUM_STEPS_PER_EPOCH = 4
# A process that has lost another must have said so by then; TensorFlow misses one that is silent after 10 s.
TIME_LIMIT_S = 120

Outputs = dict[str, np.ndarray]


def plan() -> ModelSettings:
    """What replicas have of their own, and what must be agreed on: Dropout's masks, totals, best epochs, a search."""
    augmentation = {"horizontal_flip": True, "mix_up_alpha": 0.2}
    carry = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0, "state": "carry"}
    phases = (
        head_phase(epochs=2, learning_rate=0.5, early_stopping_patience=1, augmentation=augmentation),
        fine_tune_phase(epochs=2, batch_norm="adapt", optimizer=carry),
        fine_tune_phase(name="last", epochs=1, batch_norm="recalibrate", learning_rate=0.001),
    )
    return settings(phases=phases, dropout_rate=0.3, ema_decay=0.9, batch_size_per_replica=8, checkpoint_every_steps=3)


def job(folder: Path, attempt: str, data: TrainingData, transform_graph: Path) -> TrainingJob:
    """Each attempt has outputs of its own; what it goes on with is that of all."""
    outputs = {name: folder / attempt / name for name in ("model", "baseline_model", "training_record")}
    outputs["training_record"].mkdir(parents=True)
    return TrainingJob(
        train_examples=str(Path(data.train.files[0]).parent),
        eval_examples=str(Path(data.eval.files[0]).parent),
        transform_graph=str(transform_graph),
        checkpoints=str(folder / "checkpoints"),
        **{name: str(path) for name, path in outputs.items()},
    )


def weights_of(model: str) -> Outputs:
    """Of a SavedModel, by the key in its checkpoint."""
    reader = tf.train.load_checkpoint(str(Path(model) / "variables" / "variables"))
    keys = [key for key in reader.get_variable_to_shape_map() if not key.startswith("_")]
    return {key: reader.get_tensor(key) for key in keys}


def record_of(job: TrainingJob) -> dict[str, Any]:
    """Without what a run does not repeat: the devices' names and how long a search took."""

    def without_durations(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_durations(each) for key, each in value.items() if key not in ("duration_s", "devices")}
        return [without_durations(each) for each in value] if isinstance(value, list) else value

    found: dict[str, Any] = without_durations(json.loads((Path(job.training_record) / "training.json").read_text()))
    return found


def assert_same(found: TrainingJob, expected: TrainingJob) -> None:
    for ours, theirs in ((found.model, expected.model), (found.baseline_model, expected.baseline_model)):
        weights, others = weights_of(ours), weights_of(theirs)
        assert weights.keys() == others.keys()
        for key, value in others.items():
            np.testing.assert_array_equal(weights[key], value, err_msg=key)
    assert record_of(found) == record_of(expected)


def scores(model: str, pixels: np.ndarray) -> np.ndarray:
    """Of a SavedModel in this process, which has never joined others."""
    images = tf.stack([tf.io.encode_png(image) for image in pixels])
    found: np.ndarray = tf.saved_model.load(model).signatures["serving_default"](images)["scores"].numpy()
    return found


@pytest.fixture(scope="module")
def undisturbed(
    training_data: TrainingData, transform_graph: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainingJob:
    """One process with two replicas."""
    only = job(tmp_path_factory.mktemp("one"), "only", training_data, transform_graph)
    run(only, plan(), num_cpu_replicas=2)
    return only


@pytest.fixture
def tf_config(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], str]:
    """What a task of a cluster of two gets; that of the chief is in this process's environment."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("localhost", 0))
        ports = [each.getsockname()[1] for each in (one, two)]
    cluster = {"chief": [f"localhost:{ports[0]}"], "worker": [f"localhost:{ports[1]}"]}

    def text(role: str, index: int) -> str:
        return json.dumps({"cluster": cluster, "task": {"type": role, "index": index}})

    monkeypatch.setenv("TF_CONFIG", text("chief", 0))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return text


@dataclass(frozen=True)
class Other:
    """The other machine's process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def ended(self) -> tuple[int, str]:
        """Its exit status, for it ends now, and what it said."""
        return self.process.wait(timeout=TIME_LIMIT_S), self.log.read_text()


@contextmanager
def other_worker(tf_config: Callable[[str, int], str], job_file: Path, *deed: str) -> Iterator[Other]:
    """The other machine, which is there before the chief is."""
    script = Path(__file__).with_name("worker_once.py")
    log = job_file.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, script, job_file, *deed],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TF_CONFIG": tf_config("worker", 0)},
        )
    try:
        yield Other(process, log)
    finally:
        process.kill()
        process.wait()


def test_two_processes_train_to_the_weights_of_one_with_two_replicas(
    undisturbed: TrainingJob,
    training_data: TrainingData,
    transform_graph: Path,
    digits: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    tf_config: Callable[[str, int], str],
) -> None:
    """To the bit: models, baseline, history, search, and what the freeze contract found."""
    path, reports = tmp_path / "job.json", []
    two = job(tmp_path, "two", training_data, transform_graph)
    with other_worker(tf_config, path) as worker, progress.listening(reports.append):
        run_chief(WorkerJob(two, plan(), num_cpu_replicas=1), path)
        status, output = worker.ended()
    assert status == 0, output
    assert_same(two, undisturbed)
    assert json.loads((Path(two.training_record) / "training.json").read_text())["devices"].startswith(
        "2 replicas: CPU:0 on each of 2 workers"
    )
    assert "head 2/2" in " ".join(report.note for report in reports)
    assert not path.exists()
    assert not Path(str(two.checkpoints)).exists()
    for folder, expected in ((two.model, undisturbed.model), (two.baseline_model, undisturbed.baseline_model)):
        np.testing.assert_array_equal(scores(folder, digits[0][:9]), scores(expected, digits[0][:9]))


def test_a_worker_that_was_killed_or_told_to_stop_ends_all_and_all_go_on_from_the_checkpoint(
    undisturbed: TrainingJob,
    training_data: TrainingData,
    transform_graph: Path,
    tmp_path: Path,
    tf_config: Callable[[str, int], str],
) -> None:
    path = tmp_path / "job.json"
    jobs = [job(tmp_path, name, training_data, transform_graph) for name in ("killed", "stopped", "last")]
    wanted = [WorkerJob(each, plan(), num_cpu_replicas=1) for each in jobs]

    with other_worker(tf_config, path, "kill", str(2 * NUM_STEPS_PER_EPOCH + 4)) as worker:
        with pytest.raises(ThawError, match=r"worker 0 of 2 has lost another one.*start all of them again"):
            run_chief(wanted[0], path)
        ended_at_s = time.time()
        status, output = worker.ended()
    assert status == -signal.SIGKILL
    assert ended_at_s - float(output.rpartition("signal at ")[2]) < TIME_LIMIT_S
    assert any(Path(str(jobs[0].checkpoints)).iterdir())
    assert not Path(jobs[0].model).exists()

    # It goes on after step 3 of the second phase, or it would be beyond the step that it is told to stop in.
    with other_worker(tf_config, path, "terminate", "2") as worker:
        with pytest.raises(ThawError, match=r"SIGTERM\) in phase 'fine_tune' after step 5; its state is saved"):
            run_chief(wanted[1], path)
        status, output = worker.ended()
    assert status == 1
    assert "SIGTERM) in phase 'fine_tune' after step 5; its state is saved" in output

    with other_worker(tf_config, path) as worker:
        run_chief(wanted[2], path)
        status, output = worker.ended()
    assert status == 0, output
    assert_same(jobs[2], undisturbed)


def test_only_the_chief_runs_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tf_config: Any) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config("worker", 0))
    wanted = WorkerJob(TrainingJob("", "", "", "", "", ""), plan())
    with pytest.raises(ConfigurationError, match=r"this machine is worker 0 .*run the pipeline on the chief"):
        run_chief(wanted, tmp_path / "job.json")
    assert not any(tmp_path.iterdir())
