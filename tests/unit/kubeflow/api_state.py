"""State of the stand-in for the API server of Kubeflow Pipelines, and what scheduler and workflows do to it."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]


@dataclass
class Fault:
    """What goes wrong with requests that match.

    Attributes:
        pattern: of "METHOD /path".
        status: answered in place of the answer; None answers as usual, after the delay.
        num_times: how often.
        delay_s: before anything is done.
        after_effect: do what was asked for before the failure is answered.
    """

    pattern: str
    status: int | None = None
    num_times: int = 1
    delay_s: float = 0.0
    after_effect: bool = False


@dataclass
class ApiServer:
    """The server's state; tests look at it and change it.

    Attributes:
        token: that requests must bear; None for none.
        requests: "METHOD /path" of each that came in.
        faults: to come.
        logs: of pods, by name.
    """

    token: str | None = None
    page_size: int = 2
    pipelines: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, Json] = field(default_factory=dict)
    experiments: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Json] = field(default_factory=dict)
    recurring_runs: dict[str, Json] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    wrong_answers: list[str] = field(default_factory=list)
    _clock: datetime = datetime(2026, 11, 1, tzinfo=UTC)

    def now(self) -> str:
        """Later each time, so that an order by time is one."""
        self._clock += timedelta(seconds=1)
        return self._clock.isoformat().replace("+00:00", "Z")

    def fire(self, recurring_run_id: str) -> str | None:
        """As the scheduler does at a firing: None where it is paused, or a run of it is active."""
        recurring = self.recurring_runs[recurring_run_id]
        active = [
            run
            for run in self.runs.values()
            if run.get("recurring_run_id") == recurring_run_id and run["state"] in ("PENDING", "RUNNING")
        ]
        if recurring["mode"] != "ENABLE" or len(active) >= int(recurring["max_concurrency"]):
            return None
        run = {key: recurring[key] for key in ("pipeline_version_reference", "runtime_config") if key in recurring}
        # As it is there, whatever is in double brackets: see github.com/kubeflow/pipelines/issues/12494.
        return self.add_run({**run, "display_name": recurring["display_name"], "recurring_run_id": recurring_run_id})

    def add_run(self, body: Json) -> str:
        run_id = str(uuid.uuid4())
        self.runs[run_id] = {"run_id": run_id, "state": "PENDING", "created_at": self.now(), **body}
        return run_id

    def set_tasks(self, run_id: str, state: str, **states: str) -> None:
        """Gives a run the nodes that its workflow has: a driver, the task, and the container below it."""
        details: list[Json] = []
        for number, (name, task_state) in enumerate(states.items(), 1):
            details += _nodes(name, task_state, number * 10)
        self.runs[run_id]["state"] = state
        self.runs[run_id]["run_details"] = {"task_details": details}


def _nodes(name: str, state: str, number: int) -> Iterator[Json]:
    start, end = "2026-11-01T00:00:00Z", "2026-11-01T00:01:30Z"
    times = {
        "create_time": start,
        "start_time": start,
        "end_time": end if state != "RUNNING" else "1970-01-01T00:00:00Z",
    }
    own = "SUCCEEDED" if state == "CACHED" else state
    container = "SKIPPED" if state == "CACHED" else state
    for offset, (display_name, node_state, children) in enumerate(
        [(f"{name}-driver", "SUCCEEDED", []), (name, own, [number + 2]), ("executor", container, [])]
    ):
        yield {
            "task_id": str(uuid.uuid4()),
            "display_name": display_name,
            "state": node_state,
            "pod_name": f"digits-x-system-container-{number + offset}",
            "child_tasks": [{"pod_name": f"digits-x-{child}"} for child in children],
            **times,
        }
