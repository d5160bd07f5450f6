"""That what the documents say is held by a test names one that there is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")


def named_tests(text: str) -> set[tuple[str, str]]:
    """The (file, name) of each test that a text names as `tests/….py::name`."""
    return set(TEST.findall(text))


def missing(named: set[tuple[str, str]], root: Path) -> list[str]:
    """Those that are not there, or are no tests."""
    return sorted(f"{file}::{name}" for file, name in named if name not in _tests_of(root / file))


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([])
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {name for name in functions if name.startswith("test_")}


@pytest.mark.parametrize(
    "document",
    [
        "docs/beam.md",
        "docs/freezing.md",
        "docs/learning-rates.md",
        "docs/decisions/0020-searching-rates-and-depths.md",
        "docs/decisions/0015-own-training-loop.md",
        "docs/decisions/0017-how-a-step-is-computed.md",
        "docs/decisions/0018-weights-of-examples.md",
        "docs/decisions/0022-several-machines.md",
        "docs/decisions/0023-warm-start.md",
    ],
)
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    assert missing(named_tests((ROOT / document).read_text(encoding="utf-8")), ROOT) == []


def test_every_point_of_the_page_on_freezing_names_a_test() -> None:
    text = (ROOT / "docs/freezing.md").read_text(encoding="utf-8")
    points = re.findall(r"^- .*\n(?:  .*\n)*", text, flags=re.MULTILINE)
    assert len(points) > 30
    assert [point for point in points if not named_tests(point)] == []


def test_a_test_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_here.py").write_text("def test_here(): ...\ndef helper(): ...\n")
    text = "`tests/test_here.py::test_here` tests/test_here.py::helper, tests/test_gone.py::test_here"
    expected = ["tests/test_gone.py::test_here", "tests/test_here.py::helper"]
    assert missing(named_tests(text), tmp_path) == expected
