"""`thaw schedule`: one schedule of a name, whatever happens, and no run of it is lost or overlapped."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from api_state import ApiServer, Fault
from pipelines import Thaw, specification

from pipeline.kubeflow.connection import Connection, connected
from pipeline.kubeflow.package import read_package
from pipeline.kubeflow.schedules import Schedule, ScheduleSettings, apply, upload
from pipeline.kubeflow.submission import RunSettings, experiment_id

CREATE = ("schedule", "create", "pipeline.yaml", "--cron", "0 3 * * 1")


def the_schedule(server: ApiServer) -> dict:
    (only,) = server.recurring_runs.values()
    return only


def test_a_schedule_is_created_as_it_was_asked_for(thaw: Thaw, server: ApiServer, package: Path) -> None:
    status, out, _ = thaw(*CREATE, "--parameter", "span={last: 7}", "--pipeline-root", "s3://bucket/root")
    assert status == 0
    made = the_schedule(server)
    assert made["display_name"] == "digits"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == ("1", True, "ENABLE")
    assert made["runtime_config"] == {"parameters": {"span": "{last: 7}"}, "pipeline_root": "s3://bucket/root"}
    version = server.versions[made["pipeline_version_reference"]["pipeline_version_id"]]
    assert version["pipeline_spec"]["pipeline_spec"] == specification()
    assert "Schedule digits created" in out
    assert "times in UTC; each firing takes the newest 7 spans there are then of s3://photos/{SPAN}" in out
    assert out.count(" 03:00:00 UTC") == 3 and "Mon " in out
    assert "Experiment details" not in out


def test_twice_makes_one_schedule_and_uploads_once(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw(*CREATE)
    before = the_schedule(server)
    status, out, _ = thaw(*CREATE)
    assert (status, the_schedule(server)) == (0, before)
    assert "Schedule digits unchanged" in out
    assert len(server.versions) == len(server.pipelines) == len(server.experiments) == 1


@pytest.mark.parametrize(
    "change",
    [
        ("--cron", "0 4 * * 1"),
        ("--time-zone", "Europe/Berlin"),
        ("--parameter", "num_steps=6"),
        ("--catch-up",),
        ("--pipeline-root", "s3://bucket/other"),
        ("--service-account", "thaw"),
        ("--experiment", "another"),
    ],
)
def test_whatever_changes_the_schedule_is_one_and_as_asked_for(
    thaw: Thaw, server: ApiServer, package: Path, change: tuple[str, ...]
) -> None:
    thaw(*CREATE)
    before = the_schedule(server)
    status, out, _ = thaw(*CREATE, *change)
    assert status == 0 and "updated" in out
    assert the_schedule(server)["recurring_run_id"] != before["recurring_run_id"]
    assert thaw(*CREATE, *change)[1].startswith("Schedule digits unchanged")


def test_a_changed_pipeline_is_a_new_version_that_the_schedule_runs(
    thaw: Thaw, server: ApiServer, package: Path
) -> None:
    thaw(*CREATE)
    package.write_text(yaml.safe_dump(specification(sdkVersion="tfx-1.22.0")))
    thaw(*CREATE)
    version = the_schedule(server)["pipeline_version_reference"]["pipeline_version_id"]
    assert server.versions[version]["pipeline_spec"]["sdkVersion"] == "tfx-1.22.0"
    package.write_text(yaml.safe_dump_all([specification(), {}]))
    thaw(*CREATE)
    assert len(server.versions) == 3 and len(server.pipelines) == 1


def test_an_update_is_refused_while_a_run_is_active_unless_told_otherwise(
    thaw: Thaw, server: ApiServer, package: Path
) -> None:
    thaw(*CREATE)
    before = the_schedule(server)["recurring_run_id"]
    run_id = server.fire(before)
    status, _, err = thaw(*CREATE, "--catch-up")
    assert status == 1 and run_id in err and "--while-running" in err
    assert list(server.recurring_runs) == [before]
    assert thaw(*CREATE)[0] == 0  # what is as it was may be said at any time
    assert thaw(*CREATE, "--catch-up", "--while-running")[0] == 0
    assert before not in server.recurring_runs
    assert server.runs[run_id]["state"] == "PENDING"  # and not stopped with the schedule that started it


def test_no_firing_overlaps_a_run_of_the_schedule(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw(*CREATE)
    schedule_id = the_schedule(server)["recurring_run_id"]
    first = server.fire(schedule_id)
    assert first and server.fire(schedule_id) is None
    server.set_tasks(first, "SUCCEEDED")
    assert server.fire(schedule_id)


def test_pause_resume_and_delete(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw(*CREATE)
    schedule_id = the_schedule(server)["recurring_run_id"]
    run_id = server.fire(schedule_id)
    server.set_tasks(run_id, "SUCCEEDED")
    assert thaw("schedule", "pause", "digits")[:2] == (0, "Schedule digits paused\n")
    assert server.fire(schedule_id) is None
    assert "paused" in thaw("schedule", "list")[1]
    assert thaw("schedule", "resume", "digits")[0] == 0
    run_id = server.fire(schedule_id)
    assert run_id and "enabled" in thaw("schedule", "list")[1]
    assert thaw("schedule", "delete", "digits")[0] == 0
    assert server.recurring_runs == {}
    assert server.runs[run_id]["state"] == "PENDING"
    assert thaw("schedule", "list")[1] == "no schedules\n"


def test_a_paused_schedule_stays_paused_when_it_is_changed(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw(*CREATE)
    thaw("schedule", "pause", "digits")
    status, out, _ = thaw(*CREATE, "--catch-up")
    assert (status, the_schedule(server)["mode"]) == (0, "DISABLE")
    assert "paused" in out and "thaw schedule resume" in out


def test_an_update_that_was_cut_short_is_ended_by_the_next(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw(*CREATE)
    server.faults.append(Fault("DELETE", status=500, num_times=9))
    status, _, err = thaw(*CREATE, "--catch-up")
    assert status == 1 and "answered 500" in err
    assert len(server.recurring_runs) == 2  # one too many, and not one too few
    assert "more than one: digits" in thaw("schedule", "list")[1]
    server.faults.clear()
    assert thaw(*CREATE, "--catch-up")[0] == 0
    assert the_schedule(server)["no_catchup"] is False


def test_a_creation_whose_answer_was_lost_leaves_one_schedule(thaw: Thaw, server: ApiServer, package: Path) -> None:
    server.faults.append(Fault("POST .*/recurringruns$", status=504, after_effect=True))
    assert thaw(*CREATE)[0] == 1
    assert server.requests.count("POST /apis/v2beta1/recurringruns") == 1  # it is not asked for twice
    assert thaw(*CREATE)[1].startswith("Schedule digits unchanged")
    assert len(server.recurring_runs) == 1


def test_an_upload_whose_answer_was_lost_is_found_again(thaw: Thaw, server: ApiServer, package: Path) -> None:
    server.faults.append(Fault("POST .*/upload_version", status=504, after_effect=True))
    assert thaw(*CREATE)[0] == 1
    assert thaw(*CREATE)[0] == 0
    assert len(server.versions) == 1


def test_two_at_once_make_one_schedule(server: ApiServer, host: str, package: Path) -> None:
    settings = ScheduleSettings("digits", "0 0 3 * * *", "UTC", RunSettings())
    # What both share is there; both then look before either has made its schedule.
    with connected(Connection(host)) as client:
        upload(client, read_package(package))
        experiment_id(client, "digits")
    server.faults.append(Fault("POST .*/recurringruns$", delay_s=0.3, num_times=2))

    def create() -> Schedule:
        with connected(Connection(host)) as client:
            return apply(client, read_package(package), settings)[0]

    with ThreadPoolExecutor(2) as threads:
        found = [future.result() for future in [threads.submit(create) for _ in range(2)]]
    assert server.requests.count("POST /apis/v2beta1/recurringruns") == 2
    last = {schedule.schedule_id for schedule in found} & set(server.recurring_runs)
    assert len(server.recurring_runs) == 1 and last


def test_schedules_of_others_are_let_alone(thaw: Thaw, server: ApiServer, package: Path) -> None:
    thaw(*CREATE)
    the_schedule(server)["description"] = "made by hand"
    status, _, err = thaw(*CREATE)
    assert status == 2 and "was not made by thaw" in err
    assert len(server.recurring_runs) == 1
    assert "not thaw's; made by hand" in thaw("schedule", "list")[1]


def test_schedules_of_other_names_stay(thaw: Thaw, server: ApiServer, package: Path) -> None:
    for name in ("a", "b", "c", "d", "e"):  # more than a page
        assert thaw(*CREATE, "--name", name)[0] == 0
    thaw("schedule", "delete", "a")
    assert sorted(item["display_name"] for item in server.recurring_runs.values()) == ["b", "c", "d", "e"]


@pytest.mark.parametrize("verb", ["pause", "resume", "delete"])
def test_an_unknown_schedule_is_named_beside_the_known(thaw: Thaw, server: ApiServer, package: Path, verb: str) -> None:
    thaw(*CREATE)
    status, _, err = thaw("schedule", verb, "digit")
    assert status == 2 and "there is no schedule 'digit'; schedules: digits" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--cron", "CRON_TZ=UTC 0 3 * * *"), "follow one zone"),
        (("--cron", "0 3 * *"), "has 4 fields"),
        (("--time-zone", "Mars/Base"), "there is no such time zone"),
        (("--parameter", "spam=1"), "nearest: span"),
        (("--parameter", "num_steps=many"), "NUMBER_INTEGER"),
        (("--parameter", "span=[[ScheduledTime]]"), "does not replace"),
        (("--set", "model.seed=1"), "is compiled already"),
    ],
)
def test_wrong_use_reaches_no_server(
    thaw: Thaw, server: ApiServer, package: Path, arguments: tuple[str, str], complaint: str
) -> None:
    status, _, err = thaw(*CREATE, *arguments)
    assert status == 2 and complaint in err
    assert server.requests == []


def test_a_pipeline_of_another_schema_is_refused(thaw: Thaw, package: Path) -> None:
    package.write_text(yaml.safe_dump(specification(schemaVersion="2.0.0")))
    status, _, err = thaw(*CREATE)
    assert status == 2 and "schemaVersion is '2.0.0', and must be '2.1.0'" in err


def test_schedule_alone_says_what_is_missing(thaw: Thaw) -> None:
    status, _, err = thaw("schedule")
    assert status == 2 and err == "thaw: missing command; `thaw schedule --help` explains\n"
