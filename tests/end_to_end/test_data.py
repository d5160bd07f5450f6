"""`thaw data`: what is in the photographs, before and without training."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Finished, Workplace, execute

pytestmark = [pytest.mark.slow]


def look_at(workplace: Workplace) -> Finished:
    command = workplace.command("config.yaml")
    return execute(["data" if argument == "run" else argument for argument in command])


@pytest.fixture(scope="module")
def spoilt(new_workplace: Callable[[str], Workplace]) -> Workplace:
    """The example's photographs, two of them twice, one of those under another class."""
    workplace = new_workplace("looking ü")
    content = (workplace.photographs / "six" / "000.png").read_bytes()
    (workplace.photographs / "six" / "again.png").write_bytes(content)
    (workplace.photographs / "nine" / "wrong.png").write_bytes(content)
    return workplace


@pytest.fixture(scope="module")
def looked(spoilt: Workplace) -> Finished:
    return look_at(spoilt)


def test_classes_refusals_and_duplicates_are_shown(looked: Finished) -> None:
    assert looked.exit_status == 0, looked.output + looked.errors
    assert re.search(r"class +train +eval +test +all +refused", looked.output)
    assert re.search(r"all +\d+ +\d+ +\d+ +898 +4\n", looked.output)
    assert "refused     truncated 2 · not an image 1 · empty file 1" in looked.output
    assert "duplicates  pairs: equal 2 · with two labels 2" in looked.output
    assert "have different classes" in looked.output


def test_the_report_and_the_contact_sheet_lie_where_it_says(looked: Finished, spoilt: Workplace) -> None:
    (quarantine,) = (spoilt.root / "artifacts" / "ImageExampleGen" / "quarantine").iterdir()
    page = (quarantine / "report.html").read_text("utf-8")
    assert "six/again.png" in page and "nine/wrong.png" in page
    assert (quarantine / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((quarantine / "summary.json").read_text("utf-8"))
    assert summary["num_accepted"] == 898
    assert "report.html" in looked.output


def test_the_same_photographs_are_not_taken_in_twice_nor_by_the_run_that_follows(
    looked: Finished, spoilt: Workplace
) -> None:
    again = look_at(spoilt)
    assert re.search(r"ImageExampleGen +reused", again.output), again.output + again.errors
    run = spoilt.run("config.yaml", "model.phases.0.epochs=1", "model.phases.1.epochs=1", "gate.floors.accuracy=0")
    assert re.search(r"ImageExampleGen +reused", run.output), run.output + run.errors
    assert len(spoilt.records()) == 1


def test_what_is_wrong_with_the_photographs_is_told(new_workplace: Callable[[str], Workplace]) -> None:
    workplace = new_workplace("nothing there")
    for path in sorted(workplace.photographs.glob("*/*")):
        path.unlink()
    done = look_at(workplace)
    assert done.exit_status == 2
    assert "no file in" in done.errors
    assert not Path(workplace.root).exists()
