"""How the API of Kubeflow Pipelines is reached: credentials, failures in words, time limits, and asking again."""

from pathlib import Path

import pytest
from api_state import ApiServer, Fault
from pipelines import Thaw

from pipeline.kubeflow import connection
from pipeline.kubeflow.connection import Connection, connected
from trainer.errors import ThawError

LIST = ("schedule", "list")
SECRET = "sesame-1234"


@pytest.mark.parametrize("way", ["THAW_KFP_TOKEN", "THAW_KFP_TOKEN_FILE"])
def test_a_token_is_borne_and_never_shown(
    thaw: Thaw, server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    monkeypatch.setenv(way, SECRET if way == "THAW_KFP_TOKEN" else str(tmp_path / "token"))
    server.token = SECRET
    assert thaw(*LIST)[0] == 0
    server.token = "another"
    status, out, err = thaw(*LIST)
    assert status == 1 and "refuses the credentials (401)" in err and "THAW_KFP_TOKEN" in err
    if way == "THAW_KFP_TOKEN":  # the server repeats it in its message
        assert SECRET not in out + err


def test_a_token_file_is_read_again_when_it_is_replaced(
    server: ApiServer, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    server.token = "first"
    monkeypatch.setenv("THAW_KFP_TOKEN_FILE", str(token))
    with connected(Connection(host)) as client:
        client.list_runs()
        token.write_text("second")
        server.token = "second"
        client.list_runs()


def test_contradictory_and_unreadable_credentials_are_wrong_use(
    thaw: Thaw, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THAW_KFP_TOKEN_FILE", "/no/such")
    status, _, err = thaw(*LIST)
    assert status == 2 and "THAW_KFP_TOKEN_FILE: cannot read '/no/such'" in err
    monkeypatch.setenv("THAW_KFP_TOKEN", SECRET)
    status, _, err = thaw(*LIST)
    assert status == 2 and "both set" in err
    assert server.requests == []


def test_neither_host_nor_kubeconfig_is_wrong_use(thaw: Thaw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    monkeypatch.setenv("KUBECONFIG", "/no/such")
    status, _, err = thaw(*LIST)
    assert status == 2 and "say --host" in err


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_asked_again(thaw: Thaw, server: ApiServer, status: int) -> None:
    server.faults.append(Fault("GET .*/recurringruns$", status=status, num_times=2))
    assert thaw(*LIST)[0] == 0
    assert server.requests.count("GET /apis/v2beta1/recurringruns") == 3


def test_a_lasting_failure_is_told_after_a_few_tries(thaw: Thaw, server: ApiServer) -> None:
    server.faults.append(Fault("GET .*/recurringruns$", status=503, num_times=99))
    status, _, err = thaw(*LIST)
    assert status == 1 and "answered 503: it was arranged so" in err
    assert server.requests.count("GET /apis/v2beta1/recurringruns") == 4


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_is_not_asked_again(thaw: Thaw, server: ApiServer, status: int) -> None:
    server.faults.append(Fault("GET .*/recurringruns$", status=status, num_times=99))
    assert thaw(*LIST)[0] == 1
    assert server.requests.count("GET /apis/v2beta1/recurringruns") == 1


def test_a_race_for_a_name_is_told(thaw: Thaw, server: ApiServer, package: Path) -> None:
    server.faults.append(Fault("POST .*/pipelines$", status=409))
    status, _, err = thaw("schedule", "create", "pipeline.yaml", "--cron", "0 3 * * *")
    assert status == 1 and "has that already" in err


def test_a_server_that_does_not_answer_in_time_is_given_up(server: ApiServer, host: str) -> None:
    server.faults.append(Fault("GET .*/runs$", delay_s=1.5, num_times=99))
    with (
        pytest.raises(ThawError, match=r"does not answer: .*timed out"),
        connected(Connection(host, read_timeout_s=0.05)) as client,
    ):
        client.list_runs()


def test_no_server_at_all_is_told_with_the_address(thaw: Thaw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_NUM_ATTEMPTS", 1)
    status, _, err = thaw(*LIST, "--host", "http://127.0.0.1:9")
    assert status == 1 and "http://127.0.0.1:9 does not answer" in err and "port-forward" in err
