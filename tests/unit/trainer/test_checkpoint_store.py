"""Copies of checkpoints in an object store: what another machine finds there."""

import shutil
import warnings
from pathlib import Path

import fsspec
import numpy as np
import pytest

from trainer.checkpoint_store import CheckpointStore
from trainer.checkpoints import Checkpoint, CheckpointFolder
from trainer.errors import ThawError

URI = "memory://bucket/FineTuner/checkpoints"


@pytest.fixture(autouse=True)
def _empty_store() -> None:
    fsspec.filesystem("memory").store.clear()


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint({"step": step}, {"weights": np.full(1000, step, np.float32)})


def folder(path: Path, uri: str = URI) -> CheckpointFolder:
    return CheckpointFolder(path, "this", CheckpointStore(uri))


def found(path: Path) -> int | None:
    latest = folder(path).latest()
    return latest.state["step"] if latest else None


def objects() -> list[str]:
    return sorted(name for name in fsspec.filesystem("memory").store if ".writable" not in name)


def test_another_machine_goes_on_from_the_newest(tmp_path: Path) -> None:
    first = folder(tmp_path / "first")
    for step in range(4):
        first.save(checkpoint(step))
    shutil.rmtree(tmp_path / "first")
    second = folder(tmp_path / "second")
    latest = second.latest()
    assert latest is not None and latest.state == {"step": 3}
    np.testing.assert_array_equal(latest.arrays["weights"], checkpoint(3).arrays["weights"])
    second.save(checkpoint(4))
    assert found(tmp_path / "third") == 4


def test_the_store_keeps_two_as_the_folder_does(tmp_path: Path) -> None:
    writer = folder(tmp_path)
    for step in range(5):
        writer.save(checkpoint(step))
    assert {name.split("/")[-2] for name in objects()} == {"checkpoint-000004", "checkpoint-000005"}


def test_the_digests_are_uploaded_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: list[str] = []
    kind = type(fsspec.filesystem("memory"))
    original = kind.put_file

    def put(self: object, local: str, remote: str, *rest: object, **more: object) -> None:
        uploaded.append(Path(remote).name)
        original(self, local, remote, *rest, **more)

    monkeypatch.setattr(kind, "put_file", put)
    folder(tmp_path).save(checkpoint(1))
    assert len(uploaded) > 1 and uploaded.index("sha256.json") == len(uploaded) - 1


def test_one_whose_upload_was_cut_short_is_not_taken(tmp_path: Path) -> None:
    writer = folder(tmp_path / "first")
    writer.save(checkpoint(1))
    writer.save(checkpoint(2))
    system = fsspec.filesystem("memory")
    (digests,) = (name for name in objects() if name.endswith("checkpoint-000002/sha256.json"))
    system.rm_file(digests)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found(tmp_path / "second") == 1


def test_one_that_was_damaged_on_the_way_is_not_taken(tmp_path: Path) -> None:
    writer = folder(tmp_path / "first")
    writer.save(checkpoint(1))
    writer.save(checkpoint(2))
    (arrays,) = (name for name in objects() if name.endswith("checkpoint-000002/arrays.npz"))
    fsspec.filesystem("memory").pipe_file(arrays, b"torn")
    with pytest.warns(UserWarning, match="is damaged and not used"):
        assert found(tmp_path / "second") == 1


def test_a_store_that_cannot_be_written_is_told_before_training(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ThawError, match=r"checkpoints cannot be kept at .*mounted volume, or none"):
        folder(tmp_path / "first", f"file://{blocked}/below")


def test_a_store_that_fails_later_is_warned_of_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = folder(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    with monkeypatch.context() as broken:
        broken.setattr(type(fsspec.filesystem("memory")), "put_file", refuse)
        with pytest.warns(UserWarning, match="cannot be copied to .*no route to host"):
            writer.save(checkpoint(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer.save(checkpoint(2))
    assert found(tmp_path / "second") == 2
