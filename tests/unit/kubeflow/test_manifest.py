"""The InferenceService of a pushed version: what it serves, in which forms, and what cannot be served."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from components.kubernetes import OnClaim, Volume, on_claim
from components.pusher.manifest import FILE, Provenance, manifest, manifests, provenance_in
from components.pusher.publish import publish
from components.pusher.serving import RUNTIME_VERSION, ModelServer, ServingSettings
from pipeline.config import load_configuration
from trainer.errors import ConfigurationError, ThawError
from trainer.features import LABEL_VOCABULARY

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "tests/contract/inference_service.schema.json").read_text("utf-8"))
CONFIGURATION = """\
name: pets
data: {images: photographs}
model: {backbone: small_cnn, weights: none, image_size_px: 32, phases: linear_probe}
gate: {floors: {accuracy: 0.9}}
infrastructure:
  root: runs
  push_destination: DESTINATION
  serving: {service_account: thaw-serving}
  kubeflow: {image: "example/thaw:1", steps: {Pusher: {volumes: [{claim: serving, mount_path: /serving}]}}}
"""
PROVENANCE = Provenance("run-1", "ab" * 32)
Command = Callable[..., tuple[int, str, str]]


def server(*volumes: Volume, **settings: Any) -> ModelServer:
    return ModelServer(name="pets", settings=ServingSettings(**settings), volumes=volumes)


def of(destination: str, *volumes: Volume, version: str = "3", **settings: Any) -> dict[str, Any]:
    """The manifest, held to KServe's schema."""
    found: dict[str, Any] = yaml.safe_load(manifest(server(*volumes, **settings), destination, version, PROVENANCE))
    jsonschema.validate(found, SCHEMA)
    return found


SERVING = Volume(claim="thaw-serving", mount_path="/serving")


@pytest.mark.parametrize(
    ("destination", "sub_path", "uri"),
    [
        ("/serving/pets", "pets/3", "pvc://thaw-serving/pets/3"),
        ("/serving", "3", "pvc://thaw-serving/3"),
        ("/serving/../serving/./pets/", "pets/3", "pvc://thaw-serving/pets/3"),
        ("/serving/meine Tiere/größer", "meine Tiere/größer/3", "pvc://thaw-serving/meine Tiere/größer/3"),
    ],
)
def test_of_a_claim_one_version_is_mounted_where_tensorflow_serving_looks(
    destination: str, sub_path: str, uri: str
) -> None:
    found = of(destination, SERVING)
    predictor = found["spec"]["predictor"]
    (volume,) = predictor["volumes"]
    assert volume == {"name": "model", "persistentVolumeClaim": {"claimName": "thaw-serving"}}
    assert predictor["model"]["volumeMounts"] == [
        {"name": "model", "mountPath": "/mnt/models/3", "subPath": sub_path, "readOnly": True}
    ]
    assert "storageUris" not in predictor and "storageUri" not in predictor["model"]
    assert found["metadata"]["annotations"]["thaw/model-uri"] == uri


@pytest.mark.parametrize("destination", ["s3://bucket/pets", "gs://bucket/my pets ü", "s3://bucket"])
def test_of_a_bucket_one_version_is_downloaded_there_and_none_whose_number_begins_alike(destination: str) -> None:
    found = of(destination)
    predictor = found["spec"]["predictor"]
    assert predictor["storageUris"] == [{"uri": f"{destination}/3/", "mountPath": "/mnt/models/3"}]
    assert "volumes" not in predictor and "volumeMounts" not in predictor["model"]
    assert found["metadata"]["annotations"]["thaw/model-uri"] == f"{destination}/3"


def test_it_says_which_version_of_which_run_and_verdict_it_serves() -> None:
    metadata = of("s3://bucket/pets")["metadata"]
    assert metadata["name"] == "pets"
    assert metadata["labels"] == {"app.kubernetes.io/part-of": "thaw", "thaw/model-version": "3"}
    assert metadata["annotations"] == {
        "serving.kserve.io/deploymentMode": "Standard",
        "thaw/model-version": "3",
        "thaw/model-uri": "s3://bucket/pets/3",
        "thaw/run": "run-1",
        "thaw/verdict-sha256": "ab" * 32,
    }
    assert provenance_in(manifest(server(), "s3://bucket/pets", "3", PROVENANCE)) == PROVENANCE
    assert provenance_in("no: manifest") == provenance_in("- [") == provenance_in("") == Provenance()


def test_the_server_is_what_is_configured() -> None:
    predictor = of("s3://bucket/pets")["spec"]["predictor"]
    assert predictor["minReplicas"] == 1 and "serviceAccountName" not in predictor
    assert predictor["model"] == {
        "modelFormat": {"name": "tensorflow"},
        "protocolVersion": "v1",
        "runtime": "kserve-tensorflow-serving",
        "runtimeVersion": RUNTIME_VERSION,
        "resources": {
            "requests": {"cpu": "1", "memory": "2Gi"},
            "limits": {"cpu": "1", "memory": "2Gi"},
        },
    }
    found = of(
        "s3://bucket/pets", namespace="models", service_account="serving", runtime="ours", runtime_version="2.22.0",
        arguments=["--enable_batching=true"], cpu="500m", memory="4Gi", gpus=2, min_replicas=2, max_replicas=4,
    )  # fmt: skip
    assert found["metadata"]["namespace"] == "models"
    predictor = found["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"], predictor["serviceAccountName"]) == (2, 4, "serving")
    model = predictor["model"]
    assert (model["runtime"], model["runtimeVersion"]) == ("ours", "2.22.0-gpu")
    assert model["args"] == ["--enable_batching=true"]
    assert model["resources"]["limits"] == {"cpu": "500m", "memory": "4Gi", "nvidia.com/gpu": "2"}
    assert "runtimeVersion" not in of("s3://bucket/pets", runtime_version=None)["spec"]["predictor"]["model"]


def test_the_server_is_of_the_tensorflow_that_exports() -> None:
    from importlib.metadata import version

    assert version("tensorflow").split(".")[:2] == RUNTIME_VERSION.split(".")[:2]


def test_the_schema_finds_what_is_wrong() -> None:
    right = of("/serving/pets", SERVING)
    predictor = right["spec"]["predictor"]
    for wrong in (
        {**predictor, "storageUri": "pvc://x"},
        {**predictor, "minReplicas": "1"},
        {**predictor, "model": {**predictor["model"], "runtimeversion": "2"}},
        {**predictor, "volumes": [{"name": "model", "persistentVolumeClaim": {"claim": "x"}}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**right, "spec": {"predictor": wrong}}, SCHEMA)


def test_a_path_is_on_the_claim_that_is_mounted_nearest_above_it() -> None:
    outer = Volume(claim="outer", mount_path="/data", sub_path="/team a/")
    inner = Volume(claim="inner", mount_path="/data/serving")
    assert on_claim("/data/serving/pets", [outer, inner]) == OnClaim("inner", "pets")
    assert on_claim("/data/other", [inner, outer]) == OnClaim("outer", "team a/other")
    assert on_claim("/data", [outer]) == OnClaim("outer", "team a")
    assert on_claim("/data/serving", [inner]) == OnClaim("inner", "")
    assert on_claim("/data/servings/pets", [inner]) is None
    assert on_claim("/data/serving/../pets", [inner]) is None


def test_what_no_volume_holds_is_told_with_those_there_are() -> None:
    with pytest.raises(
        ThawError, match=r"'/models/pets' is on no volume .*\(thaw-serving at /serving\).*s3:// or gs://"
    ):
        of("/models/pets", SERVING)
    with pytest.raises(ThawError, match=r"that Pusher mounts \(none\)"):
        of("/models/pets")
    with pytest.raises(ThawError, match="has '#', which KServe takes for the end"):
        of("s3://bucket/a#b")


def configured(folder: Path, destination: str = "/serving/pets", *overrides: str) -> Path:
    path = folder / "pets.yaml"
    path.write_text(CONFIGURATION.replace("DESTINATION", json.dumps(destination)), encoding="utf-8")
    load_configuration(path, overrides)
    return path


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("infrastructure.push_destination=/elsewhere", "'/elsewhere' is on no volume that Pusher mounts"),
        ("infrastructure.serving.name=Pets", "'Pets' cannot name an InferenceService"),
        ("name=pets-", "'pets-' cannot name an InferenceService"),
        (f"name={'p' * 54}", "at most 53"),
        ("infrastructure.serving.arguments=[--port=1]", "is what KServe's runtime says itself"),
        ("infrastructure.serving.arguments=[verbose]", "'verbose' is no flag"),
        ("infrastructure.serving.min_replicas=0", "must be at least 1"),
        ("infrastructure.serving={min_replicas: 3, max_replicas: 2}", "less than min_replicas, 3"),
        ("infrastructure.serving={gpus: 1, runtime_version: null}", "the image for GPUs must be named"),
        ("infrastructure.serving.memory=8 GB", "'8 GB'"),
        ("infrastructure.serving.replicas=2", "replicas"),
    ],
)
def test_what_cannot_be_served_is_refused_with_the_configuration(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        configured(tmp_path, "/serving/pets", override)
    assert words in str(error.value)


def test_without_the_section_nothing_is_asked_of_the_destination(tmp_path: Path) -> None:
    path = configured(tmp_path)
    found = load_configuration(path, ["infrastructure.serving=null", "infrastructure.push_destination=/elsewhere"])
    assert found.model_server is None


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`thaw manifest`: (exit status, standard output, standard error)."""
    from pipeline.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main._status(["manifest", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture
def pushed(tmp_path: Path) -> Path:
    """A configuration whose destination has version 1 with a manifest, and 2 and 11 without one."""
    mounted = tmp_path / "mounted ü"
    volume = json.dumps({"claim": "serving", "mount_path": str(mounted)})
    path = configured(tmp_path, "/serving/pets")
    text = path.read_text("utf-8").replace("{claim: serving, mount_path: /serving}", volume)
    path.write_text(text.replace('"/serving/pets"', json.dumps(str(mounted / "pets"))), encoding="utf-8")
    found = load_configuration(path).model_server
    assert found is not None
    for number in range(2):
        model = model_of(tmp_path / str(number), f"graph {number}")
        others = (lambda version: manifests(found, str(mounted / "pets"), PROVENANCE, version)) if number == 0 else None
        publish(model, str(mounted / "pets"), others)
    (mounted / "pets/2").rename(mounted / "pets/11")
    publish(model_of(tmp_path / "2", "graph 2"), str(mounted / "pets"))
    (mounted / "pets/12").rename(mounted / "pets/2")
    (mounted / "pets/13").mkdir()
    return path


def model_of(folder: Path, content: str) -> str:
    (folder / "variables").mkdir(parents=True)
    (folder / "assets").mkdir()
    (folder / "assets" / LABEL_VOCABULARY).write_text("cats")
    (folder / "saved_model.pb").write_text(content)
    for name in ("variables.index", "variables.data-00000-of-00001"):
        (folder / "variables" / name).write_text(name)
    return str(folder)


def test_a_version_has_its_manifest_with_it_when_it_appears(pushed: Path) -> None:
    version = pushed.parent / "mounted ü/pets/1"
    found = yaml.safe_load((version / FILE).read_text("utf-8"))
    jsonschema.validate(found, SCHEMA)
    assert found["spec"]["predictor"]["model"]["volumeMounts"][0]["subPath"] == "pets/1"


def test_the_command_prints_the_newest_whole_version_or_the_one_it_is_asked_for(command: Command, pushed: Path) -> None:
    status, out, err = command(pushed)
    assert (status, err) == (0, "")
    newest = yaml.safe_load(out)
    jsonschema.validate(newest, SCHEMA)
    assert newest["metadata"]["labels"]["thaw/model-version"] == "11"
    assert "thaw/run" not in newest["metadata"]["annotations"]
    status, out, _ = command(pushed, "--version", "1", "--set", "infrastructure.serving.memory=4Gi")
    older = yaml.safe_load(out)
    assert older["spec"]["predictor"]["model"]["resources"]["limits"]["memory"] == "4Gi"
    assert older["metadata"]["annotations"]["thaw/run"] == "run-1", "what the version says of itself is kept"


def test_a_version_that_is_not_there_is_told_with_those_that_are(command: Command, pushed: Path) -> None:
    status, _, err = command(pushed, "--version", "4")
    assert status == 2 and "there is no version 4" in err and "there are: 1, 2, 11" in err
    assert "must be a version's number" in command(pushed, "--version", "latest")[2]


def test_where_the_destination_is_not_to_be_seen_the_version_must_be_said(command: Command, tmp_path: Path) -> None:
    path = configured(tmp_path, "/serving/no such pets")
    status, _, err = command(path)
    assert status == 2 and "--version" in err and "THAW_PUSHED" in err
    status, out, err = command(path, "--version", "7")
    assert status == 0 and "nobody has looked for version 7" in err
    assert yaml.safe_load(out)["metadata"]["annotations"]["thaw/model-uri"] == "pvc://serving/no such pets/7"


def test_without_the_section_the_command_says_what_to_write(command: Command, tmp_path: Path) -> None:
    status, _, err = command(configured(tmp_path), "--set", "infrastructure.serving=null")
    assert status == 2 and "infrastructure: {serving: {" in err
