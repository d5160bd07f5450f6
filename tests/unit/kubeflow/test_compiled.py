"""What `thaw compile` makes is what `thaw submit` and `thaw schedule` send."""

from pathlib import Path

import pytest
from api_state import ApiServer
from pipelines import Thaw

CONFIG = Path(__file__).parents[3] / "examples/digits/config.yaml"
KUBEFLOW = "infrastructure.kubeflow={image: 'registry.example/thaw:1', pipeline_root: 's3://artifacts/root'}"

pytest.importorskip("pipeline.kubeflow_runner")


@pytest.mark.slow
def test_a_configuration_is_compiled_and_sent(thaw: Thaw, server: ApiServer) -> None:
    status, out, err = thaw("schedule", "create", CONFIG, "--set", KUBEFLOW, "--cron", "0 3 * * *")
    assert status == 0, err
    assert "each firing takes all that is there then of" in out
    (schedule,) = server.recurring_runs.values()
    assert schedule["runtime_config"]["pipeline_root"] == "s3://artifacts/root"
    assert thaw("schedule", "create", CONFIG, "--set", KUBEFLOW, "--cron", "0 3 * * *")[1].startswith(
        "Schedule digits unchanged"  # what is compiled twice is the same
    )
    status, out, err = thaw("submit", CONFIG, "--set", KUBEFLOW, "-p", 'span={"last": 7}')
    assert status == 0, err
    (run,) = server.runs.values()
    assert run["runtime_config"]["parameters"] == {"span": '{"last": 7}'}
    status, out, _ = thaw("status", run["run_id"], "--no-wait")
    steps = [line.split()[0] for line in out.splitlines() if line.endswith("waiting") or "waiting" in line.split()]
    assert steps[0] == "ImageExampleGen" and steps[-2:] == ["Gate", "Pusher"] and len(steps) == 9


def test_a_configuration_that_is_wrong_reaches_no_server(thaw: Thaw, server: ApiServer) -> None:
    status, _, err = thaw("submit", CONFIG, "--set", "model.sead=1")
    assert status == 2 and "sead" in err
    assert server.requests == []
