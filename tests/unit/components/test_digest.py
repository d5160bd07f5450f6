"""The digest changes with every module of ours that a step uses, and with no other."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components import digest
from components.digest import code_digest

FILES = {
    "room/__init__.py": "",
    "room/step.py": "import json\nfrom room import helper\nfrom room.parts.one import VALUE\n",
    "room/helper.py": "def f():\n    from room.deep import G\n    return G\n",
    "room/deep.py": "import room.step\nG = 1\n",
    "room/parts/__init__.py": "",
    "room/parts/one.py": "VALUE = 1\n",
    "room/parts/two.py": "VALUE = 2\n",
    "room/unrelated.py": "VALUE = 3\n",
    "other/__init__.py": "",
}

Write = Callable[[str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A small package of "ours"; returns how to change a file of it."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    for name, text in FILES.items():
        write(name, text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(digest, "FIRST_PARTY_PACKAGES", ("room",))
    yield write
    for name in [name for name in sys.modules if name.split(".")[0] in ("room", "other")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    [
        "room/step.py",
        "room/helper.py",
        "room/deep.py",
        "room/parts/one.py",
        "room/__init__.py",
        "room/parts/__init__.py",
    ],
)
def test_changes_with_a_module_that_is_imported_directly_or_not(package: Write, name: str) -> None:
    before = code_digest("room.step")
    package(name, FILES[name] + "# changed\n")
    assert code_digest("room.step") != before


@pytest.mark.parametrize("name", ["room/unrelated.py", "room/parts/two.py", "other/__init__.py"])
def test_does_not_change_with_a_module_that_is_not_imported(package: Write, name: str) -> None:
    before = code_digest("room.step")
    package(name, FILES[name] + "# changed\n")
    assert code_digest("room.step") == before


def test_does_not_change_by_itself_nor_with_the_folder(
    package: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_digest("room.step")
    assert code_digest("room.step") == before
    for name in [name for name in sys.modules if name.split(".")[0] == "room"]:
        del sys.modules[name]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "room").rename(moved / "room")
    monkeypatch.syspath_prepend(str(moved))
    assert code_digest("room.step") == before


def test_covers_every_module_that_is_named(package: Write) -> None:
    before = code_digest("room.step", "room.unrelated")
    package("room/unrelated.py", "VALUE = 4\n")
    assert code_digest("room.step", "room.unrelated") != before
    assert code_digest("room.step") != code_digest("room.unrelated")


def test_a_name_that_is_no_module_is_an_error(package: Write) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"room.missing"):
        code_digest("room.missing")


def test_of_fine_tuner_covers_the_exporter_and_of_ingestion_does_not() -> None:
    assert "trainer.export" in digest._closure(("components.fine_tuner.executor",))
    assert "trainer.export" not in digest._closure(("components.image_example_gen.executor",))
