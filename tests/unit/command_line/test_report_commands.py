"""`thaw report` and `thaw compare`: pages about runs, whatever became of these."""

import dataclasses
import html
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Thaw
from rich.console import Console

from components.gate.predictions import Predictions, write_predictions
from pipeline import run_record
from pipeline.cli.run import write_report
from pipeline.reports import two_runs
from pipeline.run_record import VERDICT, RunRecord, runs_dir
from tests.unit.components.gate_pages import approval, three_classes


@pytest.fixture
def root(config_path: Path) -> Path:
    return config_path.parent / "runs" / "shapes"


def last(root: Path) -> RunRecord:
    return run_record.read(root, run_record.run_ids(root)[0])


def seen(page: Path) -> str:
    body = re.sub(r"<style>.*?</style>", "", page.read_text("utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_run_ends_with_the_place_of_its_report(thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path) -> None:
    done = thaw_with_fake_pipeline("run", config_path, "--set", "model.seed=3")
    run_id = last(root).run_id
    assert f"  report              runs/shapes/runs/{run_id}/report.html" in done.stdout.splitlines()
    text = seen(runs_dir(root) / run_id / "report.html")
    assert text.index("Pushed") < text.index("The fine-tuned model may be pushed: a gain of +0.0410.") < 200
    for words in (
        f"thaw run {runs_dir(root) / run_id / 'config.yaml'}",
        f"thaw run {config_path} --set model.seed=3",
        "Gate done in 0.2 s",
        str(root / "FineTuner/model/12"),
        "image_size_px: 32",
    ):
        assert words in text


def test_report_writes_it_again_and_prints_the_sentence_and_the_place(
    thaw_with_fake_pipeline: Thaw, thaw: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path, ends="refused")
    page = runs_dir(root) / last(root).run_id / "report.html"
    page.unlink()
    done = thaw("report", "last", "--no-open")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "The fine-tuned model is refused: a gain of +0.0410."
    assert f"  report  runs/shapes/runs/{last(root).run_id}/report.html" in lines
    assert "■ Refused" in seen(page)


def test_report_shows_who_had_a_refused_model_pushed(
    thaw_with_fake_pipeline: Thaw, thaw: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path, ends="refused")
    record = last(root)
    assert record.verdict is not None
    verdict = record.verdict.model_copy(update={"approval": approval("<b>the old camera</b> is gone")})
    run_record.write(runs_dir(root) / record.run_id, record.model_copy(update={"verdict": verdict}))
    assert thaw("report").returncode == 0
    text = seen(runs_dir(root) / record.run_id / "report.html")
    assert "Refused, and pushed all the same" in text
    assert "by night shift on 2026-11-22 03:04 UTC: “<b>the old camera</b> is gone”" in text


def test_a_run_without_a_verdict_has_no_report_and_says_what_tells_of_it(
    thaw_with_fake_pipeline: Thaw, thaw: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path, ends="thaw error")
    done = thaw("report", "last")
    run_id = last(root).run_id
    assert done.returncode == 2
    assert done.stderr == (
        f"thaw: run {run_id} is failed and has no verdict to report; "
        f"`thaw show {run_id} --root runs/shapes` tells of it\n"
    )


def test_pdf_without_a_browser_names_the_package(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path, environment: dict[str, str]
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "report", "--pdf", "report.pdf"],
        cwd=config_path.parent, env={**environment, "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "install the package chromium" in done.stderr
    assert not (config_path.parent / "report.pdf").exists()


@pytest.mark.parametrize("command", [["report"], ["compare", "last", "last"]])
def test_pages_about_runs_need_no_tensorflow(
    thaw_with_fake_pipeline: Thaw, config_path: Path, environment: dict[str, str], command: list[str]
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    program = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"status = main._status({command!r})\n"
        "print(status, sorted({'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=config_path.parent, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_report_that_cannot_be_written_does_not_change_how_a_run_ended(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    screen = io.StringIO()
    write_report(Console(file=screen), last(root), root / "there is no such folder")
    assert "the report could not be written" in screen.getvalue()


def test_compare_shows_both_runs_and_what_differs(
    thaw_with_fake_pipeline: Thaw, thaw: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    thaw_with_fake_pipeline(
        "run", config_path, "--set", "model.seed=7", "--set", "model.phases.1.epochs=9", ends="refused"
    )
    second, first = run_record.run_ids(root)
    done = thaw("compare", first, second, "--no-open")
    assert done.returncode == 0 and done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["status", "pushed", "refused"] in rows
    assert ["model.seed", "0", "7"] in rows and ["model.phases.1.epochs", "3", "9"] in rows
    assert not [row for row in rows if row and row[0] == "model.backbone"], "what is the same is left out"
    assert ["accuracy,", "fine-tuned", *["0.9620", "0.9420", "…", "0.9820"] * 2] in rows
    assert ["train", "700", "700"] in rows
    text = seen(runs_dir(root) / second / f"compared-with-{first}.html")
    for words in ("model.seed 0 7", "status pushed refused", "The fine-tuned model is refused", "train 700 700"):
        assert words in text


def test_compare_takes_runs_that_failed(
    thaw_with_fake_pipeline: Thaw, thaw: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    thaw_with_fake_pipeline("run", config_path, ends="thaw error")
    second, first = run_record.run_ids(root)
    done = thaw("compare", first, second)
    assert done.returncode == 0, done.stderr
    assert "none: the run did not come to the gate" in done.stdout
    assert "no layer 'blok4'" in done.stdout and "The configurations are the same." in done.stdout
    text = seen(runs_dir(root) / second / f"compared-with-{first}.html")
    assert "no layer 'blok4'; nearest: 'block4_conv'" in text and "No difference." in text


def record_with(record: RunRecord, folder: Path, predictions: Predictions) -> RunRecord:
    folder.mkdir()
    write_predictions(predictions, folder)
    return record.model_copy(update={"uris": {VERDICT: str(folder)}})


def test_compare_pairs_the_images_that_both_runs_were_tested_on(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path, tmp_path: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    record = last(root)
    worse, better = three_classes(0.5, 0.6), three_classes(0.9, 0.6)
    digests = [
        f"other {name}" if position < 30 else name for position, name in enumerate(better.examples.content_sha256)
    ]
    moved = dataclasses.replace(better, examples=dataclasses.replace(better.examples, content_sha256=digests))
    runs = two_runs.compared(
        two_runs.OneRun(record_with(record, tmp_path / "a", worse), {}),
        two_runs.OneRun(record_with(record, tmp_path / "b", moved), {}),
    )
    paired = runs.paired
    assert paired is not None and (paired.num_shared, paired.num_first, paired.num_second) == (270, 300, 300)
    assert paired.gain is not None and paired.gain.value == (paired.num_gained - paired.num_lost) / 270
    assert paired.gain.interval is not None and paired.gain.interval.low is not None
    assert 0.3 < paired.gain.interval.low < paired.gain.value
    text = " ".join(re.sub("<[^>]+>", " ", two_runs.page_of(runs)).split())
    assert "The test splits are not the same (300 and 300 images, 270 shared)" in text
    assert f"{paired.num_gained} images gained, {paired.num_lost} lost" in text


def test_settings_differ_by_their_dotted_keys() -> None:
    first = dict(two_runs.flattened({"a": {"b": [1, {"c": True}]}, "d": None, "e": []}))
    assert first == {"a.b.0": "1", "a.b.1.c": "true", "d": "null", "e": "[]"}
    lines = two_runs.different_settings(first, {"a.b.0": "1", "a.b.1.c": "false", "e": "[]", "f": "x"})
    assert [(line.name, line.first, line.second) for line in lines] == [
        ("a.b.1.c", "true", "false"),
        ("d", "null", "–"),
        ("f", "–", "x"),
    ]
    assert not two_runs.different_settings(first, {}), "a configuration that is gone differs in nothing"


def test_names_in_a_comparison_are_escaped(thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path) -> None:
    thaw_with_fake_pipeline("run", config_path)
    evil = "<script>alert(1)</script>"
    record = last(root).model_copy(update={"error": evil, "name": evil, "num_examples": {evil: {evil: 3}}})
    text = two_runs.page_of(
        two_runs.compared(two_runs.OneRun(record, {evil: "1"}), two_runs.OneRun(record, {"b": evil}))
    )
    assert "<script" not in text and text.count("&lt;script&gt;") >= 5
    assert "default-src 'none'" in text
