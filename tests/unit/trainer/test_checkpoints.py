"""Checkpoints on disk, without a training: what is kept, what is refused, and that states come back as they were."""

from pathlib import Path

import numpy as np
import pytest

from trainer.checkpoints import Checkpoint, CheckpointFolder
from trainer.history import EpochRecord
from trainer.training_state import TrainingState, from_json, to_json


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint({"step": number}, {"weights/0": np.full(3, number, np.float32), "state": np.array([number, 0])})


def steps_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_of_this_training_is_found_and_two_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "this")
    assert folder.latest() is None
    for number in range(5):
        folder.save(checkpoint(number))
    assert steps_in(tmp_path) == ["checkpoint-000004", "checkpoint-000005"]
    found = CheckpointFolder(tmp_path, "this").latest()
    assert found is not None
    assert found.state == {"step": 4}
    np.testing.assert_array_equal(found.arrays["weights/0"], np.full(3, 4, np.float32))
    assert found.arrays["state"].dtype == np.int64


def test_a_process_that_goes_on_keeps_two_in_all(tmp_path: Path) -> None:
    first = CheckpointFolder(tmp_path, "this")
    first.save(checkpoint(0))
    first.save(checkpoint(1))
    second = CheckpointFolder(tmp_path, "this")
    second.latest()
    second.save(checkpoint(2))
    assert steps_in(tmp_path) == ["checkpoint-000002", "checkpoint-000003"]


def test_a_damaged_one_is_the_first_to_go(tmp_path: Path) -> None:
    first = CheckpointFolder(tmp_path, "this")
    first.save(checkpoint(0))
    first.save(checkpoint(1))
    (tmp_path / "checkpoint-000002" / "state.json").write_text("{}")
    second = CheckpointFolder(tmp_path, "this")
    with pytest.warns(UserWarning, match="is damaged and not used"):
        found = second.latest()
    assert found is not None
    assert found.state == {"step": 0}
    second.save(checkpoint(2))
    assert steps_in(tmp_path) == ["checkpoint-000001", "checkpoint-000003"]


@pytest.mark.parametrize("name", ["arrays.npz", "state.json", "sha256.json"])
def test_one_with_a_missing_file_is_passed_over(name: str, tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "this").save(checkpoint(0))
    (tmp_path / "checkpoint-000001" / name).unlink()
    with pytest.warns(UserWarning, match="is damaged and not used"):
        assert CheckpointFolder(tmp_path, "this").latest() is None


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "this").save(Checkpoint({}, {"bad": np.array([{}], dtype=object)}))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        CheckpointFolder(tmp_path, "this").latest()


def test_a_state_comes_back_as_it_was_even_with_numbers_that_are_none() -> None:
    epoch = EpochRecord("head", 1, 0.1 + 0.2, 1 / 3, float("inf"), 0.5, {"head": 0.02})
    state = TrainingState(1, 7, (0, 3), ("ab", "cd"), (epoch,), ())
    assert from_json(to_json(state)) == state
    nan = EpochRecord("head", 1, float("nan"), 1.0, float("nan"), 0.0)
    (found,) = from_json(to_json(TrainingState(0, 0, (), (), (nan,), ()))).epochs
    assert np.isnan(found.train_loss)
    assert np.isnan(found.eval_log_loss)
