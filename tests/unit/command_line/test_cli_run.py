"""`thaw run`, and what `thaw runs` and `thaw show` say of it afterwards; the pipeline itself is pretended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Thaw

from pipeline import root_lock, run_record
from pipeline.config import load_configuration
from pipeline.run_record import RunRecord


@pytest.fixture
def root(config_path: Path) -> Path:
    return config_path.parent / "runs" / "shapes"


def last(root: Path) -> RunRecord:
    return run_record.read(root, run_record.run_ids(root)[0])


def log_of(root: Path) -> str:
    return (run_record.runs_dir(root) / last(root).run_id / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ends", "exit_status", "status"),
    [
        ("pushed", 0, "pushed"),
        ("reused", 0, "pushed"),
        ("refused", 3, "refused"),
        ("thaw error", 1, "failed"),
        ("configuration error", 2, "failed"),
        ("defect", 1, "failed"),
        ("exit", 1, "failed"),
        ("lost", 1, "failed"),
        ("missing package", 1, "failed"),
        ("killed", -signal.SIGKILL, "interrupted"),
        ("saved", 130, "interrupted"),
    ],
)
def test_each_way_to_end_has_its_exit_status_and_record(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path, ends: str, exit_status: int, status: str
) -> None:
    done = thaw_with_fake_pipeline("run", config_path, ends=ends)
    assert done.returncode == exit_status, done.stderr
    assert last(root).status == status
    assert "Traceback" not in done.stdout + done.stderr
    shown = thaw_with_fake_pipeline("show", "last")
    assert shown.returncode == 0, shown.stderr
    assert status in shown.stdout.splitlines()[0]


def test_pushed_run_shows_both_models_the_verdict_the_places_and_what_to_type_next(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    done = thaw_with_fake_pipeline("run", config_path)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "1,000 examples of 1 class: train 700 · eval 150 · test 150" in lines
    assert "3 photographs refused: empty 1 · truncated 2" in lines
    assert "On 270 test examples, by their weights" in [line.rstrip() for line in lines]
    assert ["accuracy", "0.9620", "0.9210", "+0.0410", "+0.0240", "…", "+0.0580", "0.9580"] in [
        line.split() for line in lines
    ]
    assert ["calibration", "–", "1.0100", "–", "–", "–"] in [line.split() for line in lines]
    assert "✓ The fine-tuned model may be pushed: a gain of +0.0410." in lines
    assert "  pushed model        serving/shapes/17" in lines
    assert f"  run record and log  runs/shapes/runs/{last(root).run_id}" in lines
    assert "  thaw predict serving/shapes/17 'photo graphs ü/circles/a b.png'" in lines


def test_plain_output_has_a_line_per_component_and_per_epoch(thaw_with_fake_pipeline: Thaw, config_path: Path) -> None:
    lines = thaw_with_fake_pipeline("run", config_path).stdout.splitlines()
    assert "1/9  ImageExampleGen   done        0.2 s  2 images" in lines
    assert [line.strip() for line in lines if "loss 0." in line] == ["head 1/2 · loss 0.1", "head 2/2 · loss 0.2"]
    assert "9/9  Pusher            done        0.2 s" in lines


def test_noise_of_python_c_and_children_goes_to_the_log_alone(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    done = thaw_with_fake_pipeline("run", config_path)
    assert "noise" not in done.stdout + done.stderr
    assert {"noise from C", "noise from Python", "noise from a child"} <= set(log_of(root).splitlines())


def test_second_run_with_nothing_changed_says_so(thaw_with_fake_pipeline: Thaw, config_path: Path) -> None:
    done = thaw_with_fake_pipeline("run", config_path, ends="reused")
    assert "Nothing has changed since an earlier run, so all of its results were reused.\n" in done.stdout


def test_refused_run_says_what_to_change(thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path) -> None:
    arguments = ["--set", "model.seed=3", "--set", "model.phases.1.learning_rate=2e-4"]
    done = thaw_with_fake_pipeline("run", config_path, *arguments, ends="refused")
    lines = done.stdout.splitlines()
    assert "  thaw run config.yaml --set model.seed=3 --set model.phases.1.learning_rate=2e-05" in lines
    assert f"  thaw show {last(root).run_id} --root runs/shapes" in lines
    assert "pushed model" not in done.stdout


def test_failed_run_says_why_and_where_the_log_is(thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path) -> None:
    done = thaw_with_fake_pipeline("run", config_path, ends="thaw error")
    log = f"runs/shapes/runs/{last(root).run_id}/log.txt"
    assert done.stderr == f"thaw: no layer 'blok4'; nearest: 'block4_conv'\nlog:\n  {log}\n"
    assert "6/9  FineTuner         failed" in done.stdout
    assert last(root).steps[-1].state == "failed"


def test_defect_is_told_in_a_line_and_its_stack_trace_is_in_the_log(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    done = thaw_with_fake_pipeline("run", config_path, ends="defect")
    assert done.stderr.startswith(
        "thaw: FineTuner failed unexpectedly: RuntimeError: boom; the log has the stack trace\nlog:\n"
    )
    assert "Traceback (most recent call last)" in log_of(root)


def test_missing_package_leads_to_the_doctor(thaw_with_fake_pipeline: Thaw, config_path: Path) -> None:
    done = thaw_with_fake_pipeline("run", config_path, ends="missing package")
    assert "the environment is incomplete (ImportError: No module named 'tfx'); `thaw doctor` says" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_ends_with_130_and_is_shown_as_interrupted(
    thaw_with_fake_pipeline: Thaw, config_path: Path, environment: dict[str, str], root: Path, number: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fake_pipeline.py")), "run", str(config_path)],
        env={**environment, "FAKE_PIPELINE_ENDS": "waits"},
        cwd=config_path.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell have inherited that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(root)
    os.kill(process.pid, number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == "thaw: interrupted; the same command goes on where it stopped\n"
    assert "6/9  FineTuner         interrupted" in stdout
    assert last(root).status == "interrupted"
    assert last(root).steps[-1].state == "interrupted"
    assert "✗ interrupted" in thaw_with_fake_pipeline("runs").stdout


def test_a_training_that_saved_at_sigterm_is_interrupted_in_its_line_and_in_the_record(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    done = thaw_with_fake_pipeline("run", config_path, ends="saved")
    assert done.stderr == "thaw: interrupted; training was told to stop (SIGTERM) in phase 'head' after step 5\n"
    assert "6/9  FineTuner         interrupted" in done.stdout
    assert "failed" not in done.stdout
    assert last(root).steps[-1].state == "interrupted"
    steps = [line.split()[:2] for line in thaw_with_fake_pipeline("show", "last").stdout.splitlines()]
    assert ["FineTuner", "interrupted"] in steps


def test_second_run_in_the_same_root_is_refused(thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path) -> None:
    with root_lock.held(root):
        done = thaw_with_fake_pipeline("run", config_path)
    assert done.returncode == 1
    assert f"thaw: a run is under way in {root} (process {os.getpid()})" in done.stderr
    assert run_record.run_ids(root) == ()


def test_runs_are_listed_from_any_folder_above_them(thaw_with_fake_pipeline: Thaw, config_path: Path) -> None:
    for ends in ("pushed", "refused", "defect"):
        thaw_with_fake_pipeline("run", config_path, ends=ends)
    rows = [line.split() for line in thaw_with_fake_pipeline("runs").stdout.splitlines()]
    statuses = [row[2] for row in rows if len(row) > 2 and row[0].startswith("20")]
    assert statuses == ["failed", "refused", "pushed"]
    assert ["runs/shapes"] in rows


def test_old_runs_beyond_the_limit_are_counted(thaw: Thaw, config_path: Path, root: Path) -> None:
    configuration = load_configuration(config_path)
    for _ in range(3):
        run_record.create(root, configuration, config_path)
    assert "… and 2 older; --limit 3 lists all\n" in thaw("runs", config_path, "-n", "1").stdout


def test_unreadable_record_does_not_hide_the_others(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path)
    broken = run_record.runs_dir(root) / "2020-01-01T00-00-00"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    done = thaw_with_fake_pipeline("runs", config_path)
    assert done.returncode == 0
    assert "2020-01-01T00-00-00   ? unreadable" in done.stdout
    assert "✓ pushed" in done.stdout


def test_show_names_the_steps_the_reasons_and_the_settings(
    thaw_with_fake_pipeline: Thaw, config_path: Path, root: Path
) -> None:
    thaw_with_fake_pipeline("run", config_path, "--set", "model.seed=3")
    done = thaw_with_fake_pipeline("show", last(root).run_id, "--root", root)
    lines = done.stdout.splitlines()
    assert "  config.yaml" in lines
    assert "  --set model.seed=3" in lines
    assert ["FineTuner", "done", "0.2", "s"] in [line.split() for line in lines]
    assert "  ✓ its accuracy 0.9620 reaches the floor 0.9000" in lines
    assert any(line.startswith("  ? whether class seven has lost") for line in lines)
    assert "! 1 class has fewer than 30 test examples: seven (20)" in lines


def test_killed_run_is_shown_with_the_step_it_was_in(thaw_with_fake_pipeline: Thaw, config_path: Path) -> None:
    thaw_with_fake_pipeline("run", config_path, ends="killed")
    lines = thaw_with_fake_pipeline("show").stdout.splitlines()
    assert "  FineTuner         interrupted" in [line.rstrip() for line in lines]
    assert "  thaw run config.yaml" in lines


def wait_for(root: Path) -> None:
    """Until the pretended training has begun."""
    deadline = time.monotonic() + 60
    while not list(root.glob("runs/*/waiting")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_random_weights_are_warned_of_before_anything_runs(thaw_with_fake_pipeline: Thaw, config_path: Path) -> None:
    done = thaw_with_fake_pipeline("run", config_path)
    words = " ".join(done.stdout.split())
    assert "! model.weights is none: the backbone starts from random numbers" in words
    assert words.index("! model.weights") < words.index("ImageExampleGen")
