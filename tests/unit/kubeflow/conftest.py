"""A compiled pipeline, a server that takes it, and `thaw` to speak to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from api_server import Running
from api_state import ApiServer
from pipelines import Thaw, specification


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
    for name in ("THAW_KFP_TOKEN", "THAW_KFP_TOKEN_FILE", "THAW_KFP_COOKIES", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main._status([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call
