"""Records of runs, and the lock that keeps runs apart."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from components.gate.verdict_schema import Verdict
from pipeline import processes, root_lock, run_record
from pipeline.config import Configuration, load_configuration
from pipeline.run_record import RunRecord, StepRecord, UnreadableRun
from trainer.errors import ThawError

HOLDER = """
import sys, time
from pathlib import Path
from pipeline import root_lock
with root_lock.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def configuration(config_path: Path) -> Configuration:
    return load_configuration(config_path)


@pytest.fixture
def run_dir(tmp_path: Path, configuration: Configuration) -> Path:
    return run_record.create(tmp_path / "root", configuration, Path("config.yaml"), ["model.seed=1"])


@contextmanager
def holder_of(root: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the root."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def finished(record: RunRecord) -> RunRecord:
    verdict = Verdict.model_validate_json((Path(__file__).parents[2] / "verdict_example.json").read_bytes())
    steps = (StepRecord(name="Pusher", state="reused", duration_s=0.1),)
    changes = {"status": "pushed", "finished_at": datetime.now(UTC), "verdict": verdict, "steps": steps}
    return record.model_copy(update=changes)


def test_new_run_is_recorded_as_running(tmp_path: Path, run_dir: Path) -> None:
    record = run_record.read(tmp_path / "root", run_dir.name)
    assert record.status == "running"
    assert record.pid == os.getpid()
    assert record.config_path == str(Path("config.yaml").absolute())
    assert record.overrides == ("model.seed=1",)


def test_configuration_is_kept_as_it_was_resolved(run_dir: Path, configuration: Configuration) -> None:
    assert load_configuration(run_dir / run_record.CONFIG_FILE) == configuration


def test_record_reads_back_the_same(tmp_path: Path, run_dir: Path) -> None:
    record = finished(run_record.read(tmp_path / "root", run_dir.name))
    run_record.write(run_dir, record)
    assert run_record.read(tmp_path / "root", run_dir.name) == record


def test_runs_that_begin_in_the_same_second_get_folders_of_their_own(
    tmp_path: Path, configuration: Configuration
) -> None:
    names = [run_record.create(tmp_path, configuration, Path("c.yaml")).name for _ in range(12)]
    assert len(set(names)) == 12
    assert list(run_record.run_ids(tmp_path)) == names[::-1]


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    names = ["2026-11-22T15-04-05", "2026-11-22T15-04-05-2", "2026-11-22T15-04-05-10", "2026-11-23T00-00-00"]
    for name in names:
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert list(run_record.run_ids(tmp_path)) == names[::-1]


def test_root_without_runs_lists_none(tmp_path: Path) -> None:
    assert run_record.list_runs(tmp_path) == ()


def test_unreadable_record_is_listed_as_such(tmp_path: Path, run_dir: Path) -> None:
    broken = run_dir.parent / "2020-01-01T00-00-00"
    broken.mkdir()
    (broken / "run.json").write_text('{"run_id": ')
    good, bad = run_record.list_runs(tmp_path / "root")
    assert isinstance(good, RunRecord)
    assert isinstance(bad, UnreadableRun)
    assert "cannot be read" in bad.reason


def test_unknown_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match="there is no run 'nix' in "):
        run_record.read(tmp_path, "nix")


def test_run_whose_process_is_gone_reads_as_interrupted(tmp_path: Path, run_dir: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record = run_record.read(tmp_path / "root", run_dir.name)
    theirs = record.model_copy(update={"pid": process.pid, "process": processes.mark(process.pid)})
    run_record.write(run_dir, theirs)
    assert run_record.read(tmp_path / "root", run_dir.name).status == "running"
    process.kill()
    process.wait()
    assert run_record.read(tmp_path / "root", run_dir.name).status == "interrupted"


def test_run_whose_process_number_is_used_again_reads_as_interrupted(tmp_path: Path, run_dir: Path) -> None:
    record = run_record.read(tmp_path / "root", run_dir.name)
    assert record.process is not None
    earlier = record.process.rpartition("/")[0] + "/1"
    run_record.write(run_dir, record.model_copy(update={"process": earlier}))
    assert run_record.read(tmp_path / "root", run_dir.name).status == "interrupted"


def test_run_of_another_container_is_running_while_it_holds_the_root(tmp_path: Path, run_dir: Path) -> None:
    root = tmp_path / "root"
    elsewhere = "another-boot/pid:[1]/42"
    record = run_record.read(root, run_dir.name)
    run_record.write(run_dir, record.model_copy(update={"process": elsewhere}))
    assert run_record.read(root, run_dir.name).status == "interrupted"
    with root_lock.held(root):
        (root / root_lock.LOCK_FILE).write_text(f'{{"pid": 7, "process": "{elsewhere}"}}')
        assert run_record.read(root, run_dir.name).status == "running"
    assert run_record.read(root, run_dir.name).status == "interrupted"


def test_readers_never_see_half_a_record(tmp_path: Path, run_dir: Path) -> None:
    root = tmp_path / "root"
    record = run_record.read(root, run_dir.name)
    long = record.model_copy(update={"uris": {str(number): "x" * 1000 for number in range(300)}})
    stop = Event()

    def write_both() -> None:
        while not stop.is_set():
            run_record.write(run_dir, record)
            run_record.write(run_dir, long)

    writer = Thread(target=write_both)
    writer.start()
    try:
        lengths = {len(run_record.read(root, run_dir.name).uris) for _ in range(300)}
    finally:
        stop.set()
        writer.join()
    assert lengths <= {0, 300}


def test_record_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = run_record.read(tmp_path / "root", run_dir.name)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ThawError, match="No space left on device"):
        run_record.write(run_dir, finished(before))
    assert run_record.read(tmp_path / "root", run_dir.name) == before
    assert sorted(path.name for path in run_dir.iterdir()) == ["config.yaml", "run.json"]


def test_root_that_cannot_be_made_is_told(tmp_path: Path, configuration: Configuration) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ThawError, match="cannot write in "):
        run_record.create(tmp_path / "file" / "root", configuration, Path("c.yaml"))
    with pytest.raises(ThawError, match="cannot write in "), root_lock.held(tmp_path / "file" / "root"):
        pass


def test_second_holder_of_a_root_is_refused_and_told_who_has_it(tmp_path: Path, environment: dict[str, str]) -> None:
    with (
        holder_of(tmp_path, environment) as process,
        pytest.raises(ThawError, match=rf"process {process.pid}\); wait for it, stop it with `kill {process.pid}`"),
        root_lock.held(tmp_path),
    ):
        pass


def test_root_is_free_again_after_its_holder_was_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    with holder_of(tmp_path, environment) as process:
        process.kill()
        process.wait()
        with root_lock.held(tmp_path):
            pass


def test_roots_do_not_hinder_each_other(tmp_path: Path, environment: dict[str, str]) -> None:
    with holder_of(tmp_path / "a", environment), root_lock.held(tmp_path / "b"):
        pass
