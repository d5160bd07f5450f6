"""That a training which was killed ends with the very bits that it would have ended with."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deaths import Killed, Outcome, assert_same, train, train_through_deaths
from tiny import fine_tune_phase, head_phase, settings

from trainer import checkpoints
from trainer.interruption import Interrupted
from trainer.phase_training import PhaseTraining
from trainer.settings import ModelSettings
from trainer.training import TrainingData, _Training

pytestmark = pytest.mark.slow

NUM_STEPS_PER_EPOCH = 4
NUM_EPOCHS = (3, 3)
NUM_STEPS = NUM_STEPS_PER_EPOCH * sum(NUM_EPOCHS)
CHECKPOINT_EVERY_STEPS = 3


def plan(**changes: Any) -> ModelSettings:
    """Everything that has a state: Dropout, an average, moments that are carried, a schedule, a best epoch.

    Augmentation has none, but draws.
    """
    augmentation = {"horizontal_flip": True, "mix_up_alpha": 0.2}
    carry = {"name": "adamw", "weight_decay": 0.01, "clip_norm": 1.0, "state": "carry"}
    phases = (
        head_phase(epochs=NUM_EPOCHS[0], learning_rate=0.5, early_stopping_patience=3, augmentation=augmentation),
        fine_tune_phase(epochs=NUM_EPOCHS[1], learning_rate=0.05, schedule="one_cycle", optimizer=carry),
    )
    values = {
        "phases": phases,
        "dropout_rate": 0.3,
        "ema_decay": 0.9,
        "checkpoint_every_steps": CHECKPOINT_EVERY_STEPS,
        "batch_size_per_replica": 16,
    }
    return settings(**{**values, **changes})


@pytest.fixture(scope="module")
def undisturbed(training_data: TrainingData) -> Outcome:
    return train(training_data, None, plan())


@pytest.fixture(scope="module")
def ended(training_data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """With checkpoints, which nobody has removed."""
    folder = tmp_path_factory.mktemp("ended")
    return train(training_data, folder, plan()), folder


def test_checkpoints_alone_change_nothing_and_two_are_kept(ended: tuple[Outcome, Path], undisturbed: Outcome) -> None:
    outcome, folder = ended
    assert_same(outcome, undisturbed)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("seed", range(4))
def test_a_training_killed_at_random_steps_ends_bit_identical(
    seed: int, training_data: TrainingData, undisturbed: Outcome, die_at: list[int], tmp_path: Path
) -> None:
    """Four deaths each, so sixteen in all, at steps of both phases."""
    die_at.extend(sorted(random.Random(seed).sample(range(1, NUM_STEPS + 1), 4)))
    outcome, num_deaths = train_through_deaths(training_data, tmp_path, plan())
    assert num_deaths == 4
    assert_same(outcome, undisturbed)


def test_a_training_on_two_replicas_goes_on_with_the_state_of_each(
    training_data: TrainingData, die_at: list[int], tmp_path: Path
) -> None:
    """Dropout draws on each replica for itself."""
    two = plan(batch_size_per_replica=8)
    undisturbed = train(training_data, None, two, num_replicas=2)
    die_at.extend([NUM_STEPS + 5, NUM_STEPS + 16])  # the counter began with the training above
    outcome, num_deaths = train_through_deaths(training_data, tmp_path, two, num_replicas=2)
    assert num_deaths == 2
    assert_same(outcome, undisturbed)


def test_a_training_that_is_killed_after_its_end_is_not_trained_again(
    training_data: TrainingData,
    ended: tuple[Outcome, Path],
    undisturbed: Outcome,
    die_at: list[int],
    tmp_path: Path,
) -> None:
    shutil.copytree(ended[1], tmp_path / "checkpoints")
    die_at.append(1)
    outcome, num_deaths = train_through_deaths(training_data, tmp_path / "checkpoints", plan())
    assert num_deaths == 0
    assert_same(outcome, undisturbed)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["arrays.npz", "state.json", "sha256.json"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    name: str, training_data: TrainingData, undisturbed: Outcome, die_at: list[int], tmp_path: Path
) -> None:
    die_at.append(17)
    with pytest.raises(Killed):
        train(training_data, tmp_path, plan())
    newest = max(tmp_path.iterdir())
    damage(newest / name)
    with pytest.warns(UserWarning, match=f"checkpoint {newest} is damaged and not used"):
        assert_same(train(training_data, tmp_path, plan()), undisturbed)


@pytest.mark.parametrize("changes", [{"seed": 4}, {"batch_size_per_replica": 4}], ids=str)
def test_a_checkpoint_of_other_settings_is_not_used_and_not_touched(
    changes: dict[str, int], training_data: TrainingData, die_at: list[int], tmp_path: Path
) -> None:
    die_at.append(17)
    with pytest.raises(Killed):
        train(training_data, tmp_path, plan())
    of_another = set(tmp_path.iterdir())
    other = plan(**changes, phases=(head_phase(), fine_tune_phase()))
    with pytest.warns(UserWarning, match="is of other settings, data or versions and not used"):
        outcome = train(training_data, tmp_path, other)
    assert_same(outcome, train(training_data, None, other))
    assert of_another < set(tmp_path.iterdir())


def test_a_death_while_a_checkpoint_is_written_costs_that_checkpoint_only(
    training_data: TrainingData, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each point of the writing: after each file that is flushed to the disk, before the folder has its name."""
    original = checkpoints.flush
    for num_flushed in range(1, 5):
        num_left = 4 * 3 + num_flushed  # in the fourth checkpoint

        def flush(path: Path) -> None:
            nonlocal num_left
            original(path)
            num_left -= "checkpoint-" in str(path)
            if not num_left:
                raise Killed

        folder = tmp_path / str(num_flushed)
        monkeypatch.setattr(checkpoints, "flush", flush)
        with pytest.raises(Killed):
            train(training_data, folder, plan())
        monkeypatch.setattr(checkpoints, "flush", original)
        assert any(path.name.startswith(".being-written-") for path in folder.iterdir())
        outcome = train(training_data, folder, plan())
        assert not any(path.name.startswith(".") for path in folder.iterdir())
        assert_same(outcome, undisturbed)


def test_sigterm_saves_and_says_so_and_the_next_start_goes_on(
    training_data: TrainingData, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = _Training._save_if_due

    def receive(training: _Training, phase: PhaseTraining) -> None:
        original(training, phase)
        if len(training._records) == 1 and phase.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(_Training, "_save_if_due", receive)
    with pytest.raises(
        Interrupted, match=rf"SIGTERM\) in phase 'fine_tune' after step 5; its state is saved in {tmp_path}"
    ):
        train(training_data, tmp_path, plan())
    assert signal.getsignal(signal.SIGTERM) is handler
    monkeypatch.setattr(_Training, "_save_if_due", original)
    assert_same(train(training_data, tmp_path, plan()), undisturbed)


def test_sigterm_in_an_evaluation_keeps_the_weights_rather_than_their_average(
    training_data: TrainingData, undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PhaseTraining._run_evaluation

    def receive(phase: PhaseTraining, *arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        original(phase, *arguments)

    monkeypatch.setattr(PhaseTraining, "_run_evaluation", receive)
    with pytest.raises(Interrupted, match=f"after step {NUM_STEPS_PER_EPOCH}"):
        train(training_data, tmp_path, plan())
    monkeypatch.setattr(PhaseTraining, "_run_evaluation", original)
    assert_same(train(training_data, tmp_path, plan()), undisturbed)


def start(arguments: list[str | Path], data: TrainingData, folder: Path) -> subprocess.CompletedProcess[str]:
    """Trains in a process of its own; see train_once.py."""
    script = Path(__file__).with_name("train_once.py")
    job = {
        "settings": plan().model_dump(mode="json"),
        "train": str(Path(data.train.files[0]).parent),
        "eval": str(Path(data.eval.files[0]).parent),
        "checkpoints": str(folder / "checkpoints"),
        "result": str(folder / "result.npz"),
    }
    return subprocess.run(
        [sys.executable, script, json.dumps(job), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_real_kills_in_fresh_processes_change_no_bit(
    training_data: TrainingData, undisturbed: Outcome, tmp_path: Path
) -> None:
    """SIGKILL in the first phase, in the middle of a checkpoint's writing, and in the second phase."""
    for arguments in (["step", "4"], ["flush", "2"], ["step", "11"]):
        killed = start(arguments, training_data, tmp_path)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "result.npz").exists()
    finished = start([], training_data, tmp_path)
    assert finished.returncode == 0, finished.stderr
    with np.load(tmp_path / "result.npz") as weights:
        assert set(weights.files) == undisturbed.weights.keys()
        for path, value in undisturbed.weights.items():
            np.testing.assert_array_equal(weights[path], value, err_msg=path)


def test_sigterm_from_outside_ends_a_process_within_ten_seconds(training_data: TrainingData, tmp_path: Path) -> None:
    stopped = start(["terminate", "5"], training_data, tmp_path)
    assert stopped.returncode == 1
    assert "told to stop (SIGTERM)" in stopped.stderr
    (line,) = (line for line in stopped.stderr.splitlines() if line.startswith("seconds: "))
    assert float(line.removeprefix("seconds: ")) < 10
    assert any((tmp_path / "checkpoints").iterdir())
