"""Pushing what the gate has refused: with a real metadata store, and on record everywhere."""

import hashlib
from pathlib import Path

import pytest
import yaml

from components.gate import verdict_schema
from components.gate.report.model_card import FILE_NAME as CARD
from pipeline import run_record
from pipeline.config import load_configuration
from tests.unit.components.gate_pages import content_of, data, three_classes, training

pytestmark = pytest.mark.slow


def test_an_approved_model_is_pushed_with_a_card_and_a_trace_in_the_metadata(config_path: Path, tmp_path: Path) -> None:
    import json

    from ml_metadata.metadata_store import metadata_store

    from pipeline.approval import EXECUTION_TYPE, push_refused
    from pipeline.local_runner import metadata_connection

    pusher = {"volumes": [{"claim": "serving", "mount_path": str(tmp_path)}]}
    kubeflow = json.dumps({"image": "example/thaw:1", "steps": {"Pusher": pusher}})
    configuration = load_configuration(
        config_path, [f"infrastructure.kubeflow={kubeflow}", "infrastructure.serving={}"]
    )
    configuration.infrastructure.root.mkdir(parents=True)
    model = tmp_path / "candidate"
    variables = ("variables/variables.index", "variables/variables.data-00000-of-00001")
    for name in ("saved_model.pb", *variables, "assets/labels"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(name)
    folders = {name: tmp_path / name for name in ("verdict", "training record", "quarantine")}
    for name, content in (("training record", training()), ("quarantine", data(["a"]))):
        folders[name].mkdir()
        file = "training.json" if name == "training record" else "summary.json"
        (folders[name] / file).write_text(json.dumps(content))
    verdict = content_of(three_classes(0.4, 0.8), folders["verdict"]).verdict
    models = {**verdict.models, "candidate": verdict.models["candidate"].model_copy(update={"uri": str(model)})}
    verdict = verdict.model_copy(update={"models": models})
    verdict_schema.write(verdict, folders["verdict"])
    (folders["verdict"] / "tf_serving_warmup_requests").write_bytes(b"requests")
    run_dir = run_record.create(configuration.infrastructure.root, configuration, config_path)
    uris = {"candidate model": str(model), **{name: str(folder) for name, folder in folders.items()}}
    record = run_record.read(configuration.infrastructure.root, run_dir.name).model_copy(
        update={"status": "refused", "verdict": verdict, "uris": uris}
    )

    verdict_sha256 = hashlib.sha256((folders["verdict"] / verdict_schema.FILE_NAME).read_bytes()).hexdigest()

    found = push_refused(record, configuration, "night shift", "the old camera is gone")

    pushed = configuration.infrastructure.push_destination / "1"
    assert found.approval is not None and found.approval.pushed_to == str(pushed)
    assert verdict_schema.read(folders["verdict"]) == found
    card = (pushed / "assets.extra" / CARD).read_text("utf-8")
    assert "by night shift on" in card and "the old camera is gone" in card
    assert "Backbone MobileNetV2" in card and "1,000 of 1,003 photographs" in card
    manifest = yaml.safe_load((pushed / "assets.extra/inference-service.yaml").read_text("utf-8"))
    annotations = manifest["metadata"]["annotations"]
    assert annotations["thaw/model-uri"] == "pvc://serving/serving/shapes/1"
    assert (annotations["thaw/run"], annotations["thaw/verdict-sha256"]) == (run_dir.name, verdict_sha256)
    store = metadata_store.MetadataStore(metadata_connection(configuration))
    (execution,) = store.get_executions_by_type(EXECUTION_TYPE)
    assert execution.properties["who"].string_value == "night shift"
    assert execution.properties["pushed_to"].string_value == str(pushed)
