"""A training job from folders to folders, killed on its way and started again, as FineTuner does it."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny import ModelSettings, fine_tune_phase, head_phase, settings

from trainer import run as job_runner
from trainer.phase_training import PhaseTraining
from trainer.run import TrainingJob, run
from trainer.saved_models import is_complete
from trainer.training import TrainingData, _Training

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """Stands in for a death that nothing in the program can catch."""


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


def scores(model: str, pixels: np.ndarray) -> np.ndarray:
    images = tf.stack([tf.io.encode_png(image) for image in pixels])
    found: np.ndarray = tf.saved_model.load(model).signatures["serving_default"](images)["scores"].numpy()
    return found


def plan() -> ModelSettings:
    return settings(phases=(head_phase(), fine_tune_phase()), batch_size_per_replica=8, checkpoint_every_steps=1)


@pytest.fixture(scope="module")
def undisturbed(
    training_data: TrainingData, transform_graph: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainingJob:
    only = job(tmp_path_factory.mktemp("undisturbed"), "only", training_data, transform_graph)
    run(only, plan(), num_cpu_replicas=2)
    return only


@pytest.mark.parametrize("step", [2, 6], ids=["in the head phase", "after the baseline"])
def test_an_attempt_that_goes_on_writes_all_outputs_and_takes_the_checkpoints_away(
    step: int,
    training_data: TrainingData,
    transform_graph: Path,
    digits: tuple[np.ndarray, np.ndarray],
    undisturbed: TrainingJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = _Training._save_if_due
    num_done = 0

    def die(training: _Training, phase: PhaseTraining) -> None:
        nonlocal num_done
        original(training, phase)
        num_done += 1
        if num_done == step:
            raise Killed

    monkeypatch.setattr(_Training, "_save_if_due", die)
    with pytest.raises(Killed):
        run(job(tmp_path, "first", training_data, transform_graph), plan(), num_cpu_replicas=2)
    assert any((tmp_path / "checkpoints").iterdir())
    second = job(tmp_path, "second", training_data, transform_graph)
    run(second, plan(), num_cpu_replicas=2)
    assert num_done == 8, "no step was done twice"
    assert not (tmp_path / "checkpoints").exists()

    for found, expected in (
        (second.model, undisturbed.model),
        (second.baseline_model, undisturbed.baseline_model),
    ):
        assert is_complete(found)
        np.testing.assert_array_equal(scores(found, digits[0][:9]), scores(expected, digits[0][:9]))
    record = Path("training.json")
    assert (Path(second.training_record) / record).read_text() == (
        Path(undisturbed.training_record) / record
    ).read_text()


def test_checkpoints_stay_until_the_model_has_been_written(
    training_data: TrainingData, transform_graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(job_runner, "write_record", fail)
    with pytest.raises(OSError, match="no space"):
        run(job(tmp_path, "first", training_data, transform_graph), settings(batch_size_per_replica=8), 2)
    assert any((tmp_path / "checkpoints").iterdir())
