"""A reader of the push destination sees whole versions only, each model once."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.pusher.publish import publish
from trainer.errors import ThawError


def write_model(folder: Path, content: str = "graph") -> str:
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.index").write_text("index")
    (folder / "variables" / "variables.data-00000-of-00001").write_text("data")
    (folder / "assets" / "labels").write_text("cats\ndogs\n")
    return str(folder)


@pytest.fixture
def model(tmp_path: Path) -> str:
    return write_model(tmp_path / "model")


def versions(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.iterdir()) if destination.is_dir() else []


def test_the_first_version_is_1_and_holds_every_file(model: str, tmp_path: Path) -> None:
    found = publish(model, str(tmp_path / "serving" / "digits"))
    assert found.folder == tmp_path / "serving" / "digits" / "1"
    assert found.is_new
    for path in Path(model).rglob("*"):
        copy = found.folder / path.relative_to(model)
        assert copy.is_dir() if path.is_dir() else copy.read_bytes() == path.read_bytes()
    assert versions(tmp_path / "serving" / "digits") == ["1"]


def test_the_next_version_is_one_above_the_highest_by_number(model: str, tmp_path: Path) -> None:
    for name in ("9", "10", "notes"):
        (tmp_path / "serving" / name).mkdir(parents=True)
        (tmp_path / "serving" / name / "file").write_text("x")
    assert publish(model, str(tmp_path / "serving")).folder.name == "11"
    assert versions(tmp_path / "serving") == ["10", "11", "9", "notes"]


def test_the_same_model_is_not_published_twice_in_a_row(model: str, tmp_path: Path) -> None:
    first = publish(model, str(tmp_path / "serving"))
    again = publish(model, str(tmp_path / "serving"))
    assert again.folder == first.folder
    assert not again.is_new
    assert versions(tmp_path / "serving") == ["1"]


def test_a_model_that_differs_in_one_byte_of_one_file_is_a_new_version(model: str, tmp_path: Path) -> None:
    publish(model, str(tmp_path / "serving"))
    (Path(model) / "variables" / "variables.data-00000-of-00001").write_text("atad")
    found = publish(model, str(tmp_path / "serving"))
    assert (found.folder.name, found.is_new) == ("2", True)


def test_an_older_model_can_be_published_again(model: str, tmp_path: Path) -> None:
    publish(model, str(tmp_path / "serving"))
    publish(write_model(tmp_path / "other", "another graph"), str(tmp_path / "serving"))
    assert publish(model, str(tmp_path / "serving")).folder.name == "3"


@pytest.mark.parametrize(
    "missing",
    [
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ],
)
def test_an_incomplete_model_is_refused_and_nothing_is_published(model: str, tmp_path: Path, missing: str) -> None:
    (Path(model) / missing).unlink()
    with pytest.raises(ThawError, match=r"is not a complete SavedModel.*nothing was pushed"):
        publish(model, str(tmp_path / "serving"))
    assert versions(tmp_path / "serving") == []


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match="is not a complete SavedModel"):
        publish(str(tmp_path / "nothing"), str(tmp_path / "serving"))


def test_nothing_is_visible_until_all_of_it_is(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every file that is copied, no version is to be seen."""
    seen: list[list[str]] = []
    original = shutil.copy2

    def copy(*arguments: Any, **options: Any) -> Any:
        seen.append([name for name in versions(tmp_path / "serving") if name.isdecimal()])
        return original(*arguments, **options)

    monkeypatch.setattr(shutil.copytree, "__kwdefaults__", None)
    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, copy, False, False))
    publish(model, str(tmp_path / "serving"))
    assert len(seen) == 4
    assert not any(seen)


def test_what_lies_beside_the_model_appears_with_it(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        seen.append((self / "assets.extra/note").read_text())
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    publish(model, str(tmp_path / "serving"), lambda number: {"assets.extra/note": f"of {number}"})
    assert seen == ["of 1"]


def test_a_copy_that_fails_half_way_publishes_nothing_and_leaves_nothing(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(write_model(tmp_path / "first", "first"), str(tmp_path / "serving"))

    def copy_half(source: str, target: Path) -> None:
        target.mkdir()
        (target / "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", copy_half)
    with pytest.raises(ThawError, match=r"cannot push to .*: No space left on device; nothing was published"):
        publish(model, str(tmp_path / "serving"))
    assert versions(tmp_path / "serving") == ["1"]


def test_what_a_killed_push_left_is_no_hindrance(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(source: str, target: Path) -> None:
        target.mkdir()
        (target / "saved_model.pb").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", die)
        with pytest.raises(KeyboardInterrupt):
            publish(model, str(tmp_path / "serving"))
    assert not [name for name in versions(tmp_path / "serving") if name.isdecimal()]
    found = publish(model, str(tmp_path / "serving"))
    assert found.folder.name == "1"
    assert (found.folder / "saved_model.pb").read_text() == "graph"


@pytest.mark.parametrize("destination", ["a file", "a file/below"])
def test_a_destination_that_cannot_be_written_is_refused_by_name(model: str, tmp_path: Path, destination: str) -> None:
    (tmp_path / "a file").write_text("x")
    with pytest.raises(ThawError, match=f"cannot push to '.*{destination}': .*; nothing was published"):
        publish(model, str(tmp_path / destination))


def test_publishers_at_once_never_replace_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [write_model(tmp_path / f"model {number}", f"graph {number}") for number in range(4)]
    numbers = iter(range(1000, 2000))
    monkeypatch.setattr("os.getpid", lambda: next(numbers))  # as if each were a process of its own
    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(
                lambda model: publish(model, str(tmp_path / "serving"), lambda number: {"note": number}), models
            )
        )
    assert sorted(publication.folder.name for publication in found) == ["1", "2", "3", "4"]
    for number, publication in enumerate(found):
        assert (publication.folder / "saved_model.pb").read_text() == f"graph {number}"
        assert (publication.folder / "note").read_text() == publication.version


def test_what_a_killed_publisher_left_is_removed_after_a_day(model: str, tmp_path: Path) -> None:
    old, recent = tmp_path / "serving" / ".partial-1", tmp_path / "serving" / ".partial-2"
    for path in (old, recent):
        path.mkdir(parents=True)
        (path / "saved_model.pb").write_text("half")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    publish(model, str(tmp_path / "serving"))
    assert not old.exists()
    assert recent.exists()


def test_a_model_that_is_served_already_is_not_pushed_again_for_another_card(model: str, tmp_path: Path) -> None:
    card = Path(model, "assets.extra", "model_card.md")
    card.parent.mkdir()
    card.write_text("measured in 2.1 ms")
    destination = tmp_path / "serving"
    assert publish(model, str(destination)).is_new
    card.write_text("measured in 2.2 ms")
    assert not publish(model, str(destination)).is_new
    assert (destination / "1" / "assets.extra" / "model_card.md").read_text() == "measured in 2.1 ms"
    Path(model, "assets.extra", "tf_serving_warmup_requests").write_text("other requests")
    assert publish(model, str(destination)).folder.name == "2"
