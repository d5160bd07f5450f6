"""The screen while a run goes on, and small matters of writing."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli.display import Display
from pipeline.cli.screen import command, duration, short_path
from pipeline.local import StepEvent
from trainer.interruption import Interrupted
from trainer.progress import REMARKS, Progress

LONG_NOTE = "fine_tune 12/40 · loss 0.231 · accuracy 0.942 · eval loss 0.251 · eval accuracy 0.938"


def terminal(width: int) -> Console:
    """A terminal without colour."""
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=30, color_system=None, highlight=False)


def picture(width: int) -> list[str]:
    """The lines of the live display in the middle of training."""
    console = terminal(width)
    display = Display(console, ("ImageExampleGen", "FineTuner", "Pusher"))
    display.on_step(StepEvent("ImageExampleGen", "started", None))
    display.on_progress(Progress(1797, 1797, "images"))
    display.on_step(StepEvent("ImageExampleGen", "done", 4.2))
    display.on_step(StepEvent("FineTuner", "started", None))
    display.on_progress(Progress(20, 40, "epochs", LONG_NOTE))
    with console.capture() as capture:
        console.print(display._table())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_live_display_has_one_line_per_component_also_on_a_narrow_terminal() -> None:
    lines = picture(60)
    assert len(lines) == 3
    assert lines[0] == "✓  ImageExampleGen     4.2 s  1,797 images"
    assert "fine_tune 12/40 · loss" in lines[1]
    assert lines[2] == "·  Pusher"


def test_live_display_has_a_bar_that_is_legible_without_colour_where_there_is_room() -> None:
    assert "━━━━━━━━────────  fine_tune 12/40" in picture(120)[1]


def test_live_display_says_that_it_is_starting_before_the_first_component() -> None:
    console = terminal(80)
    with console.capture() as capture:
        console.print(Display(console, ("FineTuner",))._table())
    assert "starting" in capture.get().splitlines()[0]


def test_a_remark_is_a_line_of_its_own_and_leaves_the_count_alone() -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=120), ("FineTuner",))
    display.on_step(StepEvent("FineTuner", "started", None))
    display.on_progress(Progress(3, 9, "images"))
    display.on_progress(Progress(0, None, REMARKS, "head with the cache: saves about 9 s"))
    display.on_step(StepEvent("FineTuner", "done", 1.0))
    lines = file.getvalue().splitlines()
    assert lines[0].strip() == "head with the cache: saves about 9 s"
    assert "3 of 9 images" in lines[1]


def test_every_epoch_stays_on_the_screen_once() -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=120), ("FineTuner",))
    display.on_step(StepEvent("FineTuner", "started", None))
    for epoch in (1, 1, 2):
        display.on_progress(Progress(epoch, 2, "epochs", f"head {epoch}/2"))
    assert [line.strip() for line in file.getvalue().splitlines()] == ["head 1/2", "head 2/2"]


def test_component_that_was_not_announced_is_shown_too() -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=120), ("Pusher",))
    display.on_step(StepEvent("Importer", "done", 0.1))
    assert "2/2  Importer  done" in file.getvalue()


def test_progress_before_the_first_component_is_ignored() -> None:
    display = Display(Console(file=io.StringIO()), ("Pusher",))
    display.on_progress(Progress(1, 2, "images"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted, ValueError])
def test_component_that_ran_when_an_error_came_is_marked(error: type[BaseException]) -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=120), ("FineTuner",))
    with pytest.raises(error), display.shown():
        display.on_step(StepEvent("FineTuner", "started", None))
        raise error
    assert ("failed" if error is ValueError else "interrupted") in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.9, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_commands_can_be_pasted_into_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("THAW_COMMAND", raising=False)
    assert command("show", tmp_path / "a b ü's") == """thaw show 'a b ü'"'"'s'"""


def test_paths_outside_the_current_folder_stay_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert short_path(tmp_path / "there") == str(tmp_path / "there")
    assert short_path(str(tmp_path / "here" / "x")) == "x"
