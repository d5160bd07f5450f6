"""Pusher between TFX's artifacts and the push destination: what it says of a push, and the manifest beside it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_publish import write_model

from trainer.errors import ThawError

pytestmark = pytest.mark.slow
VERDICT = '{"approved": true}\n'


def push(folder: Path, destination: str, blessed: int = 1, **context: Any) -> dict[str, Any]:
    """Runs the executor; returns what it says of `pushed_model`. A claim is mounted at `folder / "mounted ü"`."""
    from tfx.dsl.components.base.base_executor import BaseExecutor
    from tfx.types import standard_artifacts

    from components.artifacts import Verdict
    from components.kubernetes import Volume
    from components.pusher.executor import Executor
    from components.pusher.serving import ModelServer, ServingSettings

    inputs = {"model": standard_artifacts.Model(), "model_blessing": standard_artifacts.ModelBlessing()}
    inputs["verdict"] = Verdict()
    for name, artifact in inputs.items():
        artifact.uri = str(folder / name)
        Path(artifact.uri).mkdir(exist_ok=True)
    inputs["model_blessing"].set_int_custom_property("blessed", blessed)
    (folder / "verdict" / "verdict.json").write_text(VERDICT)
    if not (folder / "model/Format-Serving").exists():
        write_model(folder / "model/Format-Serving")
    volumes = [Volume(claim="serving", mount_path=str(folder / "mounted ü"), sub_path="team")]
    server = ModelServer(name="pets", settings=ServingSettings(), volumes=volumes)
    pushed = standard_artifacts.PushedModel()
    Executor(BaseExecutor.Context(**context)).Do(
        {name: [artifact] for name, artifact in inputs.items()},
        {"pushed_model": [pushed]},
        {"push_destination": destination, "model_server": server.model_dump_json()},
    )
    properties = pushed.mlmd_artifact.custom_properties
    return {key: getattr(value, value.WhichOneof("value")) for key, value in properties.items()}


@pytest.mark.parametrize(
    "context",
    [{"extra_flags": ["--task_uri=gs://bucket/root/pets/run-7/Pusher"]}, {"pipeline_run_id": "run-7"}],
    ids=["kubeflow", "local"],
)
def test_a_push_says_where_and_its_manifest_serves_that_version_of_that_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], context: dict[str, Any]
) -> None:
    destination = tmp_path / "mounted ü/pets"
    told = push(tmp_path, str(destination), **context)
    assert told == {
        "pushed": 1,
        "is_new_version": 1,
        "pushed_destination": f"{destination}/1",
        "pushed_version": "1",
        "manifest": f"{destination}/1/assets.extra/inference-service.yaml",
    }
    manifest = yaml.safe_load(Path(told["manifest"]).read_text("utf-8"))
    assert manifest["metadata"]["annotations"] == {
        "serving.kserve.io/deploymentMode": "Standard",
        "thaw/model-version": "1",
        "thaw/model-uri": "pvc://serving/team/pets/1",
        "thaw/run": "run-7",
        "thaw/verdict-sha256": hashlib.sha256(VERDICT.encode()).hexdigest(),
    }
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("THAW_PUSHED ")]
    said = json.loads(line.removeprefix("THAW_PUSHED "))
    assert said == {"version": "1", "uri": f"{destination}/1", "is_new": True}
    again = push(tmp_path, str(destination), **{**context, "unique_id": "2"})
    assert (again["pushed_version"], again["is_new_version"]) == ("1", 0)


def test_what_could_not_be_served_is_not_pushed(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match="is on no volume that Pusher mounts"):
        push(tmp_path, str(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_not_blessed_is_not_pushed(tmp_path: Path) -> None:
    assert push(tmp_path, str(tmp_path / "mounted ü/pets"), blessed=0) == {"pushed": 0}
    assert not (tmp_path / "mounted ü").exists()
