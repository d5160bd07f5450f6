"""`thaw submit` and `thaw status`: from a compiled pipeline to the gate's verdict and thaw's exit statuses."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from api_state import ApiServer
from pipelines import STEPS, Thaw, specification

EXAMPLE = Path(__file__).parents[2] / "verdict_example.json"
DONE = dict.fromkeys(STEPS, "SUCCEEDED")
GATES_POD = "digits-x-system-container-32"  # of the third step


def submitted(thaw: Thaw, server: ApiServer) -> str:
    assert thaw("submit", "pipeline.yaml", "--pipeline-root", "minio://artifacts/root")[0] == 0
    (run_id,) = server.runs
    return run_id


def test_a_run_is_submitted_without_an_upload(thaw: Thaw, server: ApiServer, package: Path) -> None:
    status, out, _ = thaw("submit", "pipeline.yaml", "-p", "num_steps=7", "--pipeline-root", "s3://artifacts/root")
    (run,) = server.runs.values()
    assert status == 0 and f"thaw status {run['run_id']}" in out
    sent = run["pipeline_spec"]["pipeline_spec"]
    assert set(sent["root"]["dag"]["tasks"]) == set(STEPS) and sent["schemaVersion"] == "2.1.0"
    assert sent["root"]["inputDefinitions"] == specification()["root"]["inputDefinitions"]
    assert run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert run["runtime_config"] == {"parameters": {"num_steps": 7}, "pipeline_root": "s3://artifacts/root"}
    assert server.versions == {} and server.pipelines == {}


@pytest.mark.parametrize(("approved", "expected"), [(True, 0), (False, 3)])
def test_a_run_ends_with_the_gates_word(
    thaw: Thaw, server: ApiServer, package: Path, approved: bool, expected: int
) -> None:
    run_id = submitted(thaw, server)
    server.set_tasks(run_id, "SUCCEEDED", **DONE)
    said = {"approved": approved, "pushes": "candidate" if approved else "nothing", "sentence": "Its gain is +0.1."}
    server.logs[GATES_POD] = f"noise\nW1126 THAW_VERDICT {json.dumps(said)}\nmore\n"
    status, out, err = thaw("status", run_id, "--root", "nowhere://bucket")
    assert status == expected, err
    assert "Its gain is +0.1." in out and "the log of " + GATES_POD in out


def test_the_steps_are_shown_in_their_order_with_their_states(thaw: Thaw, server: ApiServer, package: Path) -> None:
    run_id = submitted(thaw, server)
    server.set_tasks(run_id, "RUNNING", ImageExampleGen="CACHED", FineTuner="RUNNING")
    status, out, _ = thaw("status", run_id, "--no-wait")
    rows = [line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0] in STEPS]
    assert status == 75
    assert [row[:2] for row in rows] == [
        ["ImageExampleGen", "reused"],
        ["FineTuner", "running"],
        ["Gate", "waiting"],
        ["Pusher", "waiting"],
    ]
    assert rows[0][2:] == ["1", "min", "30", "s"]


def test_a_failed_run_names_the_step_and_where_its_log_is(thaw: Thaw, server: ApiServer, package: Path) -> None:
    run_id = submitted(thaw, server)
    server.set_tasks(run_id, "FAILED", ImageExampleGen="SUCCEEDED", FineTuner="FAILED")
    server.runs[run_id]["error"] = {"code": 13, "message": "out of memory"}
    status, out, _ = thaw("status", "last")
    assert status == 1
    assert "✗ failed in FineTuner: out of memory" in out
    assert "kubectl logs --namespace kubeflow digits-x-system-container-22 main" in out


def test_status_waits_until_the_run_has_ended(thaw: Thaw, server: ApiServer, package: Path) -> None:
    run_id = submitted(thaw, server)
    server.logs[GATES_POD] = 'THAW_VERDICT {"approved": true, "pushes": "candidate", "sentence": "Better."}\n'

    def go_on() -> None:
        for number in range(len(STEPS)):
            time.sleep(0.15)
            server.set_tasks(
                run_id, "RUNNING", **dict.fromkeys(STEPS[:number], "SUCCEEDED"), **{STEPS[number]: "RUNNING"}
            )
        server.set_tasks(run_id, "SUCCEEDED", **DONE)

    thread = threading.Thread(target=go_on)
    thread.start()
    status, out, _ = thaw("status", run_id, "--poll", "0.05", "--root", "nowhere://bucket")
    thread.join()
    assert status == 0
    assert "FineTuner running\n" in out and "Pusher done\n" in out


def test_waiting_has_an_end(thaw: Thaw, server: ApiServer, package: Path) -> None:
    run_id = submitted(thaw, server)
    status, _, err = thaw("status", run_id, "--poll", "0.05", "--timeout", "0.2")
    assert status == 1 and "has not ended within 0.2 s" in err


def test_an_interrupt_leaves_the_run_alone(
    thaw: Thaw, server: ApiServer, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = submitted(thaw, server)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.kubeflow.progress.time.sleep", interrupt)
    status, _, err = thaw("status", run_id)
    assert status == 130 and f"run {run_id} goes on" in err
    assert server.runs[run_id]["state"] == "PENDING"


def test_a_verdict_that_cannot_be_read_is_a_failure_with_both_reasons(
    thaw: Thaw, server: ApiServer, package: Path
) -> None:
    run_id = submitted(thaw, server)
    server.set_tasks(run_id, "SUCCEEDED", **DONE)
    status, _, err = thaw("status", run_id, "--root", "nowhere://bucket")
    assert status == 1
    assert "cannot read nowhere://" in err and "the gate's log" in err


def test_a_run_of_a_schedule_is_shown_by_its_version(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw("schedule", "create", "pipeline.yaml", "--cron", "0 3 * * *")
    run_id = server.fire(next(iter(server.recurring_runs)))
    assert run_id
    server.set_tasks(run_id, "RUNNING", ImageExampleGen="RUNNING")
    status, out, _ = thaw("status", run_id, "--no-wait")
    assert status == 75 and "of digits" in out and "Pusher" in out


def test_there_may_be_no_run(thaw: Thaw, server: ApiServer) -> None:
    assert "there is no run yet" in thaw("status", "last")[2]
    status, _, err = thaw("status", "no-such-run")
    assert status == 1 and "has no such thing: no-such-run not found" in err


@pytest.mark.slow
def test_the_whole_verdict_comes_from_the_artifact_store(
    thaw: Thaw, server: ApiServer, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a step that was tried twice, what it wrote last."""
    import fsspec
    import s3fs
    from moto.server import ThreadedMotoServer

    s3fs.S3FileSystem.clear_instance_cache()  # an earlier one speaks to the server of another file of tests
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    try:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.get_host_and_port()[1]}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        run_id = submitted(thaw, server)
        server.set_tasks(run_id, "SUCCEEDED", **DONE)
        bucket = fsspec.filesystem("s3", use_listings_cache=False)
        bucket.mkdir("artifacts")
        folder = f"artifacts/root/digits/{run_id}/Gate"
        verdict: dict[str, Any] = json.loads(EXAMPLE.read_text())
        for uuid, approved in (("b", True), ("a", False)):
            content = json.dumps({**verdict, "approved": approved, "sentence": f"As {uuid} says."})
            bucket.pipe_file(f"{folder}/{uuid}/verdict/verdict.json", content.encode())
            time.sleep(1.1)  # the store's times are of whole seconds
        status, out, err = thaw("status", run_id)
        assert status == 3, err
        assert "As a says." in out and "frozen baseline" in out
        assert f"minio://{folder}/a/verdict/verdict.json" in out
    finally:
        store.stop()
