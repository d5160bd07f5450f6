"""A run of Kubeflow Pipelines, as far as it is: its steps, and whether it has ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipeline.kubeflow.package import in_order
from trainer.errors import ThawError

StepState = Literal["waiting", "running", "done", "reused", "skipped", "failed", "stopped"]

_ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
_STATES: dict[str, StepState] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "CANCELING": "running",
    "PAUSED": "waiting",
    "SUCCEEDED": "done",
    "SKIPPED": "skipped",
    "FAILED": "failed",
    "CANCELED": "stopped",
}
_DRIVER, _EXECUTOR = "-driver", "executor"


@dataclass(frozen=True)
class Step:
    """A component of a run.

    Attributes:
        name: of the task.
        state: "reused" took its outputs from the cache.
        duration_s: seconds so far, or that it took; None before it starts.
        pod: of its container, for its log; None where none was started.
    """

    name: str
    state: StepState
    duration_s: float | None = None
    pod: str | None = None


@dataclass(frozen=True)
class RunProgress:
    """A run as it is now.

    Attributes:
        run_id: of the run.
        name: shown to people.
        state: as the server has it, such as RUNNING.
        error: what the server says went wrong; "" where it says nothing.
        created_at: when it was made.
        steps: in the order in which they run, as far as they are known.
        pipeline_name: of its pipeline.
        pipeline_root: that it was given; None for the cluster's own.
    """

    run_id: str
    name: str
    state: str
    error: str
    created_at: datetime | None
    steps: tuple[Step, ...]
    pipeline_name: str
    pipeline_root: str | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in _ENDED

    @property
    def has_succeeded(self) -> bool:
        """Whether all steps have come to their end; the gate may have refused all the same."""
        return self.state == "SUCCEEDED"


def look(client: Any, run_id: str) -> RunProgress:
    """What the server says of a run now.

    Raises:
        NotFoundError: there is no such run.
    """
    run = client.get_run(run_id)
    specification = _specification(client, run)
    details = list(run.run_details.task_details or ()) if run.run_details else []
    return RunProgress(
        run_id=str(run.run_id),
        name=str(run.display_name),
        state=str(run.state or "PENDING"),
        error=str(run.error.message) if run.error and run.error.message else "",
        created_at=run.created_at,
        steps=tuple(_step(name, details) for name in _names(specification, details)),
        pipeline_name=str(specification.get("pipelineInfo", {}).get("name", "")),
        pipeline_root=run.runtime_config.pipeline_root if run.runtime_config else None,
    )


def watch(
    client: Any,
    run_id: str,
    on_change: Callable[[RunProgress], None],
    poll_s: float = 5.0,
    timeout_s: float | None = None,
) -> RunProgress:
    """Waits until a run has ended.

    Args:
        client: see `connected`.
        run_id: of the run.
        on_change: called at first, and whenever something has changed.
        poll_s: how often the server is asked.
        timeout_s: how long to wait; None for as long as it takes.

    Raises:
        ThawError: it did not end in time; it goes on all the same.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    seen = None
    while True:
        now = look(client, run_id)
        if now != seen:
            on_change(now)
            seen = now
        if now.has_ended:
            return now
        if deadline is not None and time.monotonic() > deadline:
            raise ThawError(
                f"run {run_id} has not ended within {timeout_s:g} s; it goes on, and can be asked for again"
            )
        time.sleep(poll_s)


def latest_run_id(client: Any) -> str:
    """The run that was made last.

    Raises:
        ThawError: there is none.
    """
    runs = client.list_runs(page_size=1, sort_by="created_at desc").runs
    if not runs:
        raise ThawError("there is no run yet; `thaw submit` starts one")
    return str(runs[0].run_id)


def _specification(client: Any, run: Any) -> dict[str, Any]:
    """A run that was submitted carries its pipeline; one of a schedule names its version."""
    specification = run.pipeline_spec
    reference = run.pipeline_version_reference
    if not specification and reference and reference.pipeline_version_id:
        version = client.get_pipeline_version(reference.pipeline_id, reference.pipeline_version_id)
        specification = version.pipeline_spec
    specification = specification or {}
    # With a platform specification beside it, the server wraps both.
    return dict(specification.get("pipeline_spec", specification))


def _names(specification: dict[str, Any], details: Sequence[Any]) -> list[str]:
    tasks = specification.get("root", {}).get("dag", {}).get("tasks")
    if tasks:
        return list(in_order(tasks))
    return [name.removesuffix(_DRIVER) for name in _display_names(details) if name.endswith(_DRIVER)]


def _display_names(details: Sequence[Any]) -> list[str]:
    return [str(detail.display_name) for detail in details]


def _step(name: str, details: Sequence[Any]) -> Step:
    """A task is three nodes of the workflow: its driver, itself, and below it the container, named "executor"."""
    own = next((detail for detail in details if detail.display_name == name), None)
    driver = next((detail for detail in details if detail.display_name == name + _DRIVER), None)
    if own is None:
        return Step(name, "waiting" if driver is None else _before_container(driver))
    containers = _containers(own, details)
    state = _STATES.get(str(own.state), "waiting")
    if state == "done" and containers and all(container.state == "SKIPPED" for container in containers):
        state = "reused"
    pod = str(containers[-1].pod_name) if containers and containers[-1].state != "SKIPPED" else None
    return Step(name, state, _duration_s(driver or own, own), pod)


def _containers(own: Any, details: Sequence[Any]) -> list[Any]:
    """Below a task: "executor", and below that, where it may be retried, "executor(0)" and so on."""
    found: list[Any] = []
    wanted = _children(own)
    while wanted:
        level = [
            detail
            for detail in details
            if _number(detail.pod_name) in wanted and str(detail.display_name).startswith(_EXECUTOR)
        ]
        found += level
        wanted = {number for detail in level for number in _children(detail)}
    return found


def _children(detail: Any) -> set[str]:
    return {_number(child.pod_name) for child in detail.child_tasks or ()}


def _number(node: str | None) -> str:
    """Nodes are named `workflow-number`, their pods `workflow-template-number`."""
    return str(node or "").rpartition("-")[2]


def _before_container(driver: Any) -> StepState:
    return "failed" if driver.state == "FAILED" else "running"


def _duration_s(first: Any, last: Any) -> float | None:
    begin, end = first.start_time, last.end_time
    if begin is None or begin.year <= 1970:
        return None
    if end is None or end < begin:  # the server gives 1970 for what has not ended
        end = datetime.now(begin.tzinfo)
    return float((end - begin).total_seconds())
