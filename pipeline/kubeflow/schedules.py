"""Schedules: one of a name, whatever is asked for how often.

What holds in Kubeflow Pipelines 2.16, and shapes this:

- A recurring run cannot be changed, only paused and resumed. An update makes a new one and removes the old one, in this
  order: a failure in between leaves one too many, which the next call removes, and never none.
- Removing one stops the runs that it has started, unless the server is told to leave them (`ORPHAN`).
- Only one that names its pipeline's version keeps to `max_concurrency`; one that follows the newest version does not.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipeline.kubeflow.package import Package
from pipeline.kubeflow.submission import RunSettings, experiment_id
from trainer.errors import ConfigurationError, ThawError

_PAGE_SIZE = 100
_MARK = re.compile(r"^(?P<words>.*) · thaw (?P<digest>[0-9a-f]{12})$")
_ACTIVE = ("PENDING", "RUNNING", "CANCELING", "PAUSED")
_MAX_DESCRIPTION_LENGTH = 255

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class ScheduleSettings:
    """What a schedule is to be.

    Attributes:
        name: one schedule of a name.
        cron: six fields, seconds first.
        time_zone: in which the cluster's scheduler reads them.
        run: what each run is given.
        catch_up: whether missed firings are made up for, one by one.
        window: what each firing takes, in words.
    """

    name: str
    cron: str
    time_zone: str
    run: RunSettings
    catch_up: bool = False
    window: str = ""


@dataclass(frozen=True)
class Schedule:
    """A schedule of the server.

    Attributes:
        schedule_id: of the recurring run.
        name: of the schedule.
        cron: six fields.
        is_enabled: whether it fires.
        words: what its maker says of it: time zone and data window.
        digest: of everything it was made from; None of one that is not thaw's.
        created_at: by the server.
        version_id: of the pipeline's version.
    """

    schedule_id: str
    name: str
    cron: str
    is_enabled: bool
    words: str
    digest: str | None
    created_at: datetime | None
    version_id: str | None


def apply(
    client: Any, package: Package, wanted: ScheduleSettings, *, while_running: bool = False
) -> tuple[Schedule, Change]:
    """Makes the server's schedule of that name what is wanted; a paused one stays paused.

    Args:
        client: see `connected`.
        package: the pipeline; uploaded as a version of its name, unless it is there already.
        wanted: the schedule.
        while_running: replace a schedule even though a run of it is active, which the new one could overlap.

    Raises:
        ConfigurationError: there are schedules of that name that are not thaw's.
        ThawError: a run of the schedule that would be replaced is active.
    """
    there = find(client, wanted.name)
    foreign = [schedule.schedule_id for schedule in there if schedule.digest is None]
    if foreign:
        raise ConfigurationError(
            f"the schedule {wanted.name!r} ({', '.join(foreign)}) was not made by thaw; give yours another name with "
            "--name, or delete that one"
        )
    digest = _digest(package, wanted)
    change: Change = "unchanged" if len(there) == 1 else "updated"
    if not any(schedule.digest == digest for schedule in there):
        if not while_running:
            _refuse_overlap(client, there)
        change = "updated" if there else "created"
        made = _create(client, package, wanted, digest, is_enabled=not there or any(one.is_enabled for one in there))
        there = find(client, wanted.name) or [made]
    # Of several that are as wanted, since two have asked at once, both keep the same one.
    kept = min(
        (schedule for schedule in there if schedule.digest == digest),
        key=lambda schedule: (schedule.created_at, schedule.schedule_id),
    )
    _remove(client, [schedule for schedule in there if schedule != kept])
    return kept, change


def find(client: Any, name: str) -> list[Schedule]:
    """All schedules of that name, newest first: one, unless an update was cut short."""
    return [schedule for schedule in listed(client) if schedule.name == name]


def listed(client: Any) -> list[Schedule]:
    """All schedules of the namespace, newest first."""
    namespace = client.get_user_namespace() or None
    pages = _pages(lambda **page: client.list_recurring_runs(namespace=namespace, **page))
    return [_schedule(item) for page in pages for item in page.recurring_runs or ()]


def change_mode(client: Any, name: str, *, enable: bool) -> list[Schedule]:
    """Pauses or resumes every schedule of that name.

    Raises:
        ConfigurationError: there is none.
    """
    found = _some(client, name)
    for schedule in found:
        (client.enable_recurring_run if enable else client.disable_recurring_run)(schedule.schedule_id)
    return found


def delete(client: Any, name: str) -> list[Schedule]:
    """Deletes every schedule of that name; runs that it has started go on.

    Raises:
        ConfigurationError: there is none.
    """
    found = _some(client, name)
    _remove(client, found)
    return found


def active_runs(client: Any, schedule: Schedule) -> list[str]:
    """Ids of the runs of a schedule that have not ended."""
    condition = {"operation": "EQUALS", "key": "recurring_run_id", "stringValue": schedule.schedule_id}
    options = {"filter": json.dumps({"predicates": [condition]}), "namespace": client.get_user_namespace() or None}
    pages = _pages(lambda **page: client.list_runs(**options, **page))
    return [run.run_id for page in pages for run in page.runs or () if run.state in _ACTIVE]


def _some(client: Any, name: str) -> list[Schedule]:
    found = find(client, name)
    if not found:
        names = ", ".join(sorted({schedule.name for schedule in listed(client)})) or "there are none"
        raise ConfigurationError(f"there is no schedule {name!r}; schedules: {names}")
    return found


def _refuse_overlap(client: Any, schedules: list[Schedule]) -> None:
    runs = [run for schedule in schedules for run in active_runs(client, schedule)]
    if runs:
        raise ThawError(
            f"a run of the schedule is active ({', '.join(runs)}), and the first of the changed schedule could overlap "
            "it; run this again when it has ended, or say --while-running. Nothing was changed"
        )


def _create(client: Any, package: Package, wanted: ScheduleSettings, digest: str, *, is_enabled: bool) -> Schedule:
    pipeline_id, version_id = upload(client, package)
    made = client.create_recurring_run(
        experiment_id=experiment_id(client, wanted.run.experiment or package.name),
        job_name=wanted.name,
        description=_description(wanted, digest),
        cron_expression=wanted.cron,
        max_concurrency="1",  # an int64, so text in the published type
        no_catchup=not wanted.catch_up,
        params=dict(wanted.run.arguments),
        pipeline_id=pipeline_id,
        version_id=version_id,
        enabled=is_enabled,
        pipeline_root=wanted.run.pipeline_root,
        service_account=wanted.run.service_account,
    )
    return _schedule(made)


def _remove(client: Any, schedules: list[Schedule]) -> None:
    from kfp_server_api import ApiException

    for schedule in schedules:
        try:
            client.recurring_runs.recurring_run_service_delete_recurring_run(
                recurring_run_id=schedule.schedule_id, propagation_policy="ORPHAN"
            )
        except ApiException as error:
            if error.status != 404:  # another one was quicker
                raise


def upload(client: Any, package: Package) -> tuple[str, str]:
    """Ids of the pipeline and of the version that is this file; each is made where there is none."""
    pipeline_id = _pipeline_id(client, package.name)
    name = package.digest[:12]
    pages = _pages(lambda **page: client.list_pipeline_versions(pipeline_id, **page))
    for version in (version for page in pages for version in page.pipeline_versions or ()):
        if version.display_name == name:
            return pipeline_id, str(version.pipeline_version_id)
    version = client.upload_pipeline_version(str(package.path), pipeline_version_name=name, pipeline_id=pipeline_id)
    return pipeline_id, str(version.pipeline_version_id)


def _pipeline_id(client: Any, name: str) -> str:
    from kfp_server_api import V2beta1Pipeline

    namespace = client.get_user_namespace() or None
    condition = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    found = client.list_pipelines(filter=json.dumps({"predicates": [condition]}), namespace=namespace).pipelines
    if found:
        return str(found[0].pipeline_id)
    pipeline = V2beta1Pipeline(name=name, display_name=name, namespace=namespace)
    return str(client.pipelines.pipeline_service_create_pipeline(pipeline=pipeline).pipeline_id)


def _pages(ask: Callable[..., Any]) -> Iterator[Any]:
    token = ""
    while True:
        page = ask(page_token=token, page_size=_PAGE_SIZE, sort_by="created_at desc")
        yield page
        token = page.next_page_token
        if not token:
            return


def _digest(package: Package, wanted: ScheduleSettings) -> str:
    """Of everything that a schedule is made from: the server gives parts of it back in a form of its own."""
    run = wanted.run
    parts = {
        "pipeline": package.digest,
        "cron": wanted.cron,
        "time_zone": wanted.time_zone,
        "catch_up": wanted.catch_up,
        "window": wanted.window,
        "arguments": dict(run.arguments),
        "pipeline_root": run.pipeline_root,
        "experiment": run.experiment,
        "service_account": run.service_account,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _description(wanted: ScheduleSettings, digest: str) -> str:
    words = f"times in {wanted.time_zone}" + (f"; each firing takes {wanted.window}" if wanted.window else "")
    mark = f" · thaw {digest}"
    return words[: _MAX_DESCRIPTION_LENGTH - len(mark)] + mark


def _schedule(item: Any) -> Schedule:
    mark = _MARK.match(item.description or "")
    trigger = item.trigger.cron_schedule if item.trigger else None
    reference = item.pipeline_version_reference
    return Schedule(
        schedule_id=str(item.recurring_run_id),
        name=str(item.display_name),
        cron=str(trigger.cron) if trigger else "",
        is_enabled=item.mode == "ENABLE",
        words=mark["words"] if mark else (item.description or ""),
        digest=mark["digest"] if mark else None,
        created_at=item.created_at,
        version_id=str(reference.pipeline_version_id) if reference and reference.pipeline_version_id else None,
    )
