"""infra/kubernetes against the schemas of Kubernetes, what the manifests promise, and infra/verify-cluster.

KServe's InferenceService has the schema of its custom resource definition, cut to what is used here; Prometheus's rule
has none, and is checked by hand against its docs.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from components.pusher.serving import RUNTIME_VERSION

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "infra/kubernetes"
CUSTOM = ("inference-service.yaml", "prometheus-rule.yaml")
FILES = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
sys.path.insert(0, str(ROOT / "tests/unit/kubeflow"))

FAKE_KUBECTL = """\
#!/usr/bin/env python3
import json, os, sys
words = " ".join(sys.argv[1:])
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(words + "\\n")
for part, (status, text) in json.loads(os.environ["FAKE_ANSWERS"]).items():
    if part in words:
        print(text, end="")
        sys.exit(status)
sys.exit(f"not expected: {words}")
"""
FINE_TUNER = '["/launch","--"] ["--executor_class_path","components.fine_tuner.executor.Executor"]'
EPOCHS = "".join(f"thaw\nhead {number}/40 · loss 1.0 · accuracy 0.5\n" for number in range(1, 5))
ANSWERS: dict[str, tuple[int, str]] = {
    "storageUris": (0, "array"),
    "supportsMultiModelDownload": (0, "true"),
    "thaw/model-version": (0, "3"),
    "model.runtime": (0, "kserve-tensorflow-serving"),
    "get servingruntime": (1, "not found"),
    "--raw /api/v1/namespaces/kubeflow/services/digits-predictor:80/proxy/v1/models/digits": (
        0,
        '{"model_version_status": [{"version": "3",\n "state": "AVAILABLE", "status": {"error_code": "OK"}}]}',
    ),
    "run thaw-verify": (0, ""),
    "get pods": (0, f'gate ["/launch"] ["components.gate.executor.Executor"]\nfirst {FINE_TUNER}\nnext {FINE_TUNER}\n'),
    "logs first": (0, EPOCHS),
    "logs next": (0, EPOCHS.partition("head 2/40")[1] + EPOCHS.partition("head 2/40")[2]),
    "exec first": (0, ""),
    "version": (0, "{}"),
    "phase": (0, "Bound"),
    "CRON_SCHEDULE_TIMEZONE": (0, "UTC"),
    "auth can-i list secrets": (0, "no"),
    "auth can-i create pods": (0, "no"),
    "auth can-i": (0, "yes"),
    "get nodes": (0, "\n4\n"),
    "wait inferenceservice": (0, "condition met"),
    "get": (0, "something/there"),
}


def documents(name: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((FOLDER / name).read_text()) if document]


@pytest.mark.parametrize("name", [name for name in FILES if name not in CUSTOM])
def test_a_manifest_is_of_the_schema_of_its_kind(name: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_the_schema_checker_finds_what_is_wrong() -> None:
    role = next(item for item in documents("service-account.yaml") if item["kind"] == "Role")
    for wrong in ({**role, "rulez": []}, {**role, "rules": [{"verbs": "get"}]}):
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_every_file_is_named_in_the_kustomization() -> None:
    text = (FOLDER / "kustomization.yaml").read_text()
    assert [name for name in FILES if name not in text] == []
    listed = yaml.safe_load(text)["resources"]
    assert set(listed) <= set(FILES) and not set(listed) & set(CUSTOM)


def test_the_account_may_name_what_it_may_read_and_holds_no_star() -> None:
    role = next(item for item in documents("service-account.yaml") if item["kind"] == "Role")
    for rule in role["rules"]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["resourceNames"] and rule["verbs"] == ["get"]


def test_the_model_server_reads_the_volume_that_is_pushed_to() -> None:
    (service,) = documents("inference-service.yaml")
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    jsonschema.validate(service, json.loads((ROOT / "tests/contract/inference_service.schema.json").read_text("utf-8")))
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "tensorflow"}
    assert model["runtimeVersion"] == RUNTIME_VERSION
    claims = [item["metadata"]["name"] for item in documents("storage.yaml")]
    assert re.fullmatch(r"pvc://(.*)/digits", model["storageUri"])[1] in claims  # type: ignore[index]


def test_the_alert_looks_for_the_line_that_the_gate_writes(capsys: pytest.CaptureFixture[str]) -> None:
    from components.gate.announcement import announce
    from components.gate.verdict_schema import Verdict

    example = json.loads((ROOT / "tests/verdict_example.json").read_text())
    announce(Verdict.model_validate_json(json.dumps({**example, "approved": False, "pushes": "nothing"})))
    line = capsys.readouterr().err
    assert re.fullmatch(r'THAW_VERDICT \{"approved": false, "pushes": "nothing", "sentence": ".*"\}\n', line)
    (config_map,) = documents("loki-rule.yaml")
    (group,) = yaml.safe_load(config_map["data"]["thaw.yaml"])["groups"]
    for rule in group["rules"]:
        for needle in re.findall(r'\|= ["`](.*?)["`](?= |\s|\|)', rule["expr"]):
            assert needle in line


def test_the_prometheus_rule_has_what_the_operator_needs() -> None:
    (rule,) = documents("prometheus-rule.yaml")
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    for group in rule["spec"]["groups"]:
        for alert in group["rules"]:
            assert {"alert", "expr", "for", "labels", "annotations"} == set(alert)


def test_scripts_of_the_cluster_pass_shellcheck() -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=bash", "infra/verify-cluster"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


Verify = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """Runs verify-cluster with a fake kubectl and the real thaw: (exit status, outcome of each point, all it said)."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").write_text(FAKE_KUBECTL)
    (programs / "thaw").write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli "$@"\n')
    for path in programs.iterdir():
        path.chmod(0o755)

    def call(*options: str, **answers: tuple[int, str]) -> tuple[int, dict[str, str], str]:
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
            "FAKE_LOG": str(tmp_path / "log"),
            "VERIFY_POLL_S": "0",
            "VERIFY_TRIES": "2",
            "FAKE_ANSWERS": json.dumps(
                {**answers, **{key: said for key, said in ANSWERS.items() if key not in answers}}
            ),
        }
        command = [str(ROOT / "infra/verify-cluster"), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        points = dict(reversed(line.split("  ", 1)) for line in done.stdout.splitlines() if line[:4] in _OUTCOMES)
        return done.returncode, points, done.stdout + done.stderr

    return call


_OUTCOMES = ("pass", "FAIL", "skip")


OPTIONS = ("--gpus", "4", "--kserve", "digits", "--bucket", "gs://bucket/serving", "--image", "example/thaw:1")


def test_a_cluster_on_which_all_is_well_passes(verify: Verify, tmp_path: Path) -> None:
    status, points, said = verify(*OPTIONS)
    assert status == 0, said
    (tried,) = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("run thaw-verify")]
    assert tried.endswith("--command -- python -P -m components.pusher.probe gs://bucket/serving")
    overrides = json.loads(re.search(r"--overrides (\{.*\}) --command", tried)[1])  # type: ignore[index]
    assert overrides["spec"] == {"serviceAccountName": "thaw"}
    assert [words for words, outcome in points.items() if outcome == "skip"] == ["the API answers: --host not given"]
    assert len(points) > 15 and "FAIL" not in points.values()


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [
        ({"CRON_SCHEDULE_TIMEZONE": (0, "Europe/Berlin")}, "cron is read in UTC"),
        ({"list secrets": (0, "yes")}, "it may not read all secrets"),
        ({"create workflowtaskresults": (0, "no")}, "it may report a step's outcome"),
        ({"claim thaw-serving": (0, "Pending")}, "the volume thaw-serving is bound"),
        ({"get networkpolicy": (1, "not found")}, "a network policy holds the steps"),
        ({"get nodes": (0, "\n2\n")}, "a node has 4 GPUs"),
        ({"wait inferenceservice": (1, "timed out")}, "the model server digits is ready"),
        ({"storageUris": (0, "")}, "KServe serves versions from buckets"),
        ({"supportsMultiModelDownload": (0, "false false")}, "KServe serves versions from buckets"),
        ({"get clusterservingruntime": (1, "not found")}, "the runtime of digits is there"),
        ({"thaw/model-version": (0, "4")}, "it serves the version that its manifest says"),
        ({"thaw/model-version": (0, "")}, "it serves the version that its manifest says"),
        ({"run thaw-verify": (1, "no access")}, "a pod may push to gs://bucket/serving, two at once not as one"),
        ({"get serviceaccount": (1, "not found")}, "the account thaw is there"),
    ],
)
def test_what_is_wrong_fails_alone_and_with_its_reason(
    verify: Verify, wrong: dict[str, tuple[int, str]], failed: str
) -> None:
    status, points, said = verify(*OPTIONS, **wrong)
    assert status == 1 and said.endswith("1 failed\n")
    assert [words for words, outcome in points.items() if outcome == "FAIL"] == [failed]


def test_the_keys_of_a_secret_are_the_environment_of_the_pod_that_tries_the_bucket(
    verify: Verify, tmp_path: Path
) -> None:
    assert verify(*OPTIONS, "--bucket-secret", "keys")[0] == 0
    tried = re.search(r"run (\S+) .*--overrides (\{.*\}) --command", (tmp_path / "log").read_text())
    assert tried is not None
    (container,) = json.loads(tried[2])["spec"]["containers"]
    assert container == {"name": tried[1], "envFrom": [{"secretRef": {"name": "keys"}}]}


def test_wrong_use_is_told(verify: Verify) -> None:
    assert verify("--spam")[0] == 64
    assert "needs a value" in verify("--host")[2]


NEXT_BEGINS_ANEW = {"logs next": (0, EPOCHS)}
NO_NEXT = {"get pods": (0, f"first {FINE_TUNER}\n")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("approved", "outcome", "killed", "pods"),
    [
        (True, "pass", "pass", {}),
        (False, "pass", "FAIL", NEXT_BEGINS_ANEW),
        (None, "FAIL", "FAIL", NO_NEXT),
    ],
)
def test_the_api_is_asked_for_a_schedule_and_a_run(
    verify: Verify,
    tmp_path: Path,
    approved: bool | None,
    outcome: str,
    killed: str,
    pods: dict[str, tuple[int, str]],
) -> None:
    from api_server import Running
    from api_state import ApiServer
    from pipelines import STEPS, specification

    class Quick(ApiServer):
        def add_run(self, body: dict[str, Any]) -> str:
            run_id = super().add_run(body)
            self.set_tasks(run_id, "FAILED" if approved is None else "SUCCEEDED", **dict.fromkeys(STEPS, "SUCCEEDED"))
            return run_id

    state = Quick()
    said = {"approved": approved, "pushes": "nothing", "sentence": "So."}
    state.logs["digits-x-system-container-32"] = f"THAW_VERDICT {json.dumps(said)}\n"
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(specification()))
    running = Running(state)
    try:
        options = ("--host", running.url, "--pipeline", str(tmp_path / "pipeline.yaml"), "--pipeline-root", "no://x")
        _, points, text = verify(*options, "--kill", **pods)
    finally:
        running.stop()
    assert points["a schedule that is made twice is one"] == "pass", text
    assert points["a schedule can be paused and resumed"] == "pass", text
    assert points["a schedule can be deleted"] == "pass", text
    assert points["a run starts"] == "pass", text
    assert points["a killed trainer goes on from its checkpoint"] == killed, text
    assert points["a run ends with a verdict"] == outcome, text
    assert state.recurring_runs == {}
    assert [run["service_account"] for run in state.runs.values()] == ["thaw"]
