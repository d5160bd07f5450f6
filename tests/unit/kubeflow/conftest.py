"""A compiled pipeline, a server that takes it, and `thaw` to speak to it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_server import Running
from api_state import ApiServer

Thaw = Callable[..., tuple[int, str, str]]
STEPS = ("ImageExampleGen", "FineTuner", "Gate", "Pusher")


def specification(**changes: Any) -> dict[str, Any]:
    """A pipeline of four containers, each after the one before it, with the parameters that a compiled one has."""
    components = {
        f"comp-{name}": {"executorLabel": f"exec-{name}", "outputDefinitions": {"artifacts": {}}} for name in STEPS
    }
    executors = {f"exec-{name}": {"container": {"image": "thaw:1", "command": ["thaw"]}} for name in STEPS}
    tasks = {
        # Backwards, since the file's order need not be that of the steps.
        name: {
            "taskInfo": {"name": name},
            "componentRef": {"name": f"comp-{name}"},
            "dependentTasks": [STEPS[STEPS.index(name) - 1]] if name != STEPS[0] else [],
        }
        for name in reversed(STEPS)
    }
    parameters = {
        "images": {"parameterType": "STRING", "defaultValue": "s3://photos/{SPAN}"},
        "span": {"parameterType": "STRING", "defaultValue": ""},
        "num_steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 5},
    }
    return {
        "pipelineInfo": {"name": "digits"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx-1.21.0",
        "components": components,
        "deploymentSpec": {"executors": executors},
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": parameters}},
        **changes,
    }


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A compiled pipeline with a platform specification beside it."""
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-Gate": {}}}}}}
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump_all([specification(), platform]))
    return path


@pytest.fixture
def server() -> ApiServer:
    """The state of the API server."""
    return ApiServer()


@pytest.fixture
def host(server: ApiServer) -> Iterator[str]:
    """URL of the API server; every answer of it is held to the published types at the end."""
    running = Running(server)
    yield running.url
    running.stop()
    assert server.wrong_answers == []


@pytest.fixture
def thaw(host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Thaw:
    """Runs a command of `thaw` against the server: (exit status, standard output, standard error)."""
    from pipeline.cli import main

    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", host)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("THAW_KFP_TOKEN", "THAW_KFP_TOKEN_FILE", "THAW_KFP_COOKIES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main._status([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call
