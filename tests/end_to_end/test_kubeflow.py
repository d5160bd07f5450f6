"""The digits on an emulated Kubeflow Pipelines: the commands of the compiled file, in processes, over a real store.

They run in the built image where there is one of this code (`make test-image`), else in this environment.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.conftest import EXAMPLE, REPOSITORY, Workplace, execute
from tests.end_to_end.kubeflow_emulator import Artifact, Kubeflow
from tests.end_to_end.pods import EnvironmentPods, Image, ImagePods, Pods, secret

pytestmark = [pytest.mark.slow, pytest.mark.image]

BUCKET = "mlpipeline"
INGESTION = ("ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")
Outputs = dict[str, dict[str, Artifact]]


@dataclass(frozen=True)
class Cluster:
    """An emulated Kubeflow with the digits' photographs and a volume for pushed models, `served`."""

    kubeflow: Kubeflow
    served: Path
    folder: Path

    def compiled(self, config: str, *settings: str) -> dict[str, Any]:
        """The specification that `thaw compile` writes, read back."""
        output = self.folder / "pipeline.yaml"
        done = execute(["python", "-m", "pipeline.cli", *self.compile(str(EXAMPLE / config), str(output), *settings)])
        assert done.exit_status == 0, done.errors
        return specification(output)

    def compile(self, config: str, output: str, *settings: str) -> list[str]:
        """The arguments of `thaw`."""
        pods = self.kubeflow.pods
        overrides = (
            f"data.images={json.dumps(pods.photographs)}",
            f"model.weights={json.dumps(pods.example + '/small_cnn.weights.h5')}",
            f"infrastructure.push_destination={json.dumps(pods.serving)}",
            "infrastructure.kubeflow={image: example/thaw:1, steps: {FineTuner: {retries: 2}}}",
            *settings,
        )
        arguments = [argument for setting in overrides for argument in ("--set", setting)]
        return ["compile", config, "-o", output, *arguments]

    def read(self, artifact: Artifact) -> Path:
        """Downloads an artifact."""
        return self.kubeflow.fetch(artifact["uri"], self.folder / "read" / artifact["name"])

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.served.iterdir()) if self.served.is_dir() else []


@pytest.fixture(scope="module")
def cluster(workplace: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line per request
    folder = tmp_path_factory.mktemp("kubeflow")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=BUCKET)
    pods = pods_in(folder, workplace.photographs, endpoint)
    yield Cluster(Kubeflow(client, BUCKET, pods), folder / "served", folder)
    server.stop()


def pods_in(folder: Path, photographs: Path, endpoint: str) -> Pods:
    """In the image if it is at hand, else in this environment."""
    served, image = folder / "served", Image.at_hand()
    if image is not None:
        return ImagePods(image, folder / "pod", (photographs, served), secret(endpoint))
    return EnvironmentPods(folder / "pod", REPOSITORY, secret(endpoint), str(photographs), str(served))


@pytest.fixture(scope="module")
def compiled(cluster: Cluster) -> dict[str, Any]:
    return cluster.compiled("config.yaml")


@pytest.fixture(scope="module")
def pushed(cluster: Cluster, compiled: dict[str, Any]) -> Outputs:
    """A whole run."""
    return cluster.kubeflow.run(compiled)


def test_the_image_compiles_the_pipeline_as_this_environment_does(
    cluster: Cluster, compiled: dict[str, Any], tmp_path: Path
) -> None:
    image = Image.at_hand()
    if image is None:
        pytest.skip(Image.why_not())
    image.give(tmp_path)
    arguments = cluster.compile(f"{cluster.kubeflow.pods.example}/config.yaml", "/tmp/pipeline.yaml")
    done = image.run(*image.entrypoint, *arguments, mounts={tmp_path: "/tmp"})
    assert done.returncode == 0, done.stdout
    assert specification(tmp_path / "pipeline.yaml") == compiled


def test_verdict_metrics_and_weights_are_those_of_the_local_run(
    cluster: Cluster, pushed: Outputs, good_record: dict[str, Any]
) -> None:
    verdict = json.loads((cluster.read(pushed["Gate"]["verdict"]) / "verdict.json").read_text("utf-8"))
    assert comparable(verdict) == comparable(good_record["verdict"])
    assert verdict["approved"] is True

    assert phases_of(cluster, pushed) == phases_in(Path(good_record["uris"]["training record"]))
    assert weights(cluster.read(pushed["FineTuner"]["model"])) == weights(Path(good_record["uris"]["candidate model"]))


def test_what_was_pushed_lies_on_the_volume_and_the_artifact_says_so(cluster: Cluster, pushed: Outputs) -> None:
    metadata = pushed["Pusher"]["pushed_model"]["metadata"]
    assert (metadata["pushed"], metadata["pushed_version"]) == (1, "1")
    assert metadata["pushed_destination"] == f"{cluster.kubeflow.pods.serving}/1"
    assert (cluster.served / "1" / "saved_model.pb").is_file()


def test_no_local_path_leaves_a_pod_and_properties_name_places_in_the_store(cluster: Cluster, pushed: Outputs) -> None:
    text = json.dumps(pushed)
    assert cluster.kubeflow.path_in_pod(f"minio://{BUCKET}") not in text
    blessing = pushed["Evaluator"]["blessing"]["metadata"]
    assert blessing["current_model"] == pushed["FineTuner"]["model"]["uri"]
    assert blessing["current_model_id"] == pushed["FineTuner"]["model"]["name"]
    assert json.loads(pushed["Transform"]["transformed_examples"]["metadata"]["split_names"])[0] == "train"


def test_harmful_fine_tuning_is_refused_and_nothing_is_pushed(
    cluster: Cluster, compiled: dict[str, Any], pushed: Outputs
) -> None:
    from pipeline.kubeflow_parameters import arguments

    submitted = arguments(compiled, cluster.compiled("harmful.yaml"))
    assert set(submitted) == {"model"}, "what is learned changes without compiling again"
    before = cluster.versions()
    done = {name: pushed[name] for name in INGESTION}
    refused = cluster.kubeflow.run(compiled, submitted, done=done)
    assert refused["Pusher"]["pushed_model"]["metadata"]["pushed"] == 0
    assert refused["Gate"]["verdict"]["metadata"]["approved"] == 0
    assert cluster.versions() == before == ["1"]


def test_a_trainer_that_is_killed_and_then_told_to_stop_ends_with_the_same_weights(
    cluster: Cluster, compiled: dict[str, Any], pushed: Outputs
) -> None:
    model = {**json.loads(compiled["root"]["inputDefinitions"]["parameters"]["model"]["defaultValue"])}
    signals = iter(["kill", "terminate"])
    num_before = len(cluster.kubeflow.attempts)

    def end_after_a_checkpoint(task: str, pod: "subprocess.Popen[str]") -> None:
        call = next(signals, None)
        known = set(checkpoints(cluster))
        while call and pod.poll() is None:
            if set(checkpoints(cluster)) - known:
                getattr(pod, call)()
                return
            time.sleep(0.05)

    outputs = cluster.kubeflow.run(
        compiled,
        {"model": json.dumps({**model, "checkpoint_every_steps": 60})},
        only=lambda task: task == "FineTuner",
        done={name: pushed[name] for name in INGESTION},
        watch=end_after_a_checkpoint,
    )

    killed, terminated, finished = cluster.kubeflow.attempts[num_before:]
    assert [killed.exit_status, terminated.exit_status, finished.exit_status] == [-9, 143, 0]
    assert "its state is saved" in terminated.log
    assert phases_of(cluster, outputs) == phases_of(cluster, pushed)
    first_epochs = [log.count("head 1/40") for log in (killed.log, terminated.log, finished.log)]
    assert first_epochs[1:] == [0, 0], "an attempt began anew"
    for name in ("model", "baseline_model"):
        assert weights(cluster.read(outputs["FineTuner"][name])) == weights(cluster.read(pushed["FineTuner"][name]))


def test_an_earlier_result_is_reused_where_image_command_parameters_and_inputs_are_the_same(
    cluster: Cluster, compiled: dict[str, Any], pushed: Outputs
) -> None:
    num_before = len(cluster.kubeflow.attempts)
    done = {"ImageExampleGen": pushed["ImageExampleGen"]}
    again = cluster.kubeflow.run(compiled, only=lambda task: task == "StatisticsGen", done=done)
    assert again["StatisticsGen"] == pushed["StatisticsGen"]
    assert len(cluster.kubeflow.attempts) == num_before


def test_a_wrong_parameter_is_told_in_words_with_the_status_of_wrong_use(
    cluster: Cluster, compiled: dict[str, Any]
) -> None:
    from tests.end_to_end.kubeflow_emulator import StepFailed

    with pytest.raises(StepFailed, match="ImageExampleGen ended with 2"):
        cluster.kubeflow.run(compiled, {"span": "7"}, only=lambda task: task == "ImageExampleGen")
    assert "span has no effect" in cluster.kubeflow.attempts[-1].log
    assert "Traceback" not in cluster.kubeflow.attempts[-1].log


def specification(output: Path) -> dict[str, Any]:
    """The first document of a compiled file."""
    return next(iter(yaml.safe_load_all(output.read_text("utf-8"))))


def comparable(verdict: dict[str, Any]) -> Any:
    """All of it, but places and latencies, which differ, and digests of files; the weights are compared by value."""
    sizes = {name: model["num_parameters"] for name, model in verdict["models"].items()}
    return {**verdict, "models": sizes}


def checkpoints(cluster: Cluster) -> list[str]:
    return [key for key in cluster.kubeflow.keys("v2/artifacts/") if "/checkpoints/" in key and "sha256" in key]


def phases_of(cluster: Cluster, outputs: Outputs) -> list[dict[str, Any]]:
    return phases_in(cluster.read(outputs["FineTuner"]["training_record"]))


def phases_in(folder: Path) -> list[dict[str, Any]]:
    """What happened in each phase; whether a cache was read changes no result."""
    phases = json.loads((folder / "training.json").read_text("utf-8"))["phases"]
    return [{key: value for key, value in phase.items() if key != "cache"} for phase in phases]


def weights(model: Path) -> dict[str, bytes]:
    """The values of all variables; the files around them are not the same bytes twice."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(model / "Format-Serving" / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    assert len(names) > 10
    return {name: reader.get_tensor(name).tobytes() for name in names}
