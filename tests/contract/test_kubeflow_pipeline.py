"""What `thaw compile` writes: the structure that Kubeflow Pipelines 2.16 is given, and what it must not hold."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "digits" / "config.yaml"
KUBEFLOW = """\
image: registry.example/thaw:1@sha256:0123
pipeline_root: minio://mlpipeline/v2/artifacts
default:
  cpu: "2"
  memory: 4Gi
  environment: {AWS_ENDPOINT_URL: "http://minio-service.kubeflow:9000"}
  secrets:
    - name: mlpipeline-minio-artifact
      environment: {accesskey: AWS_ACCESS_KEY_ID, secretkey: AWS_SECRET_ACCESS_KEY}
steps:
  ImageExampleGen:
    image: registry.example/thaw-beam:1
    memory: 8Gi
    volumes: [{claim: photographs, mount_path: /data}]
    node_selector: {disk: fast}
  FineTuner:
    gpus: 2
    shared_memory: 8Gi
    retries: 3
    timeout_s: 7200
    tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
    secrets: [{name: weights-key, mount_path: /secrets/weights}]
    volumes: [{claim: weights, mount_path: /weights, sub_path: v1}]
  Gate: {volumes: [{claim: serving, mount_path: /serving}]}
  Pusher: {volumes: [{claim: serving, mount_path: /serving}]}
"""
STEPS = (
    "ImageExampleGen",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "Transform",
    "FineTuner",
    "Evaluator",
    "Gate",
    "Pusher",
)
OVERRIDES = (
    "data.images=/data/photographs",
    "data.max_refused_fraction=0.05",
    "model.weights=/weights/small_cnn.weights.h5",
    "infrastructure.push_destination=/serving/digits",
    f"infrastructure.kubeflow={json.dumps(yaml.safe_load(KUBEFLOW))}",
)


@pytest.fixture(scope="module")
def text() -> str:
    return compiled()


@pytest.fixture(scope="module")
def spec(text: str) -> dict[str, Any]:
    return next(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def pods(text: str) -> dict[str, Any]:
    _, platform = yaml.safe_load_all(text)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removesuffix("_executor"): executor for name, executor in executors.items()}


def compiled(*overrides: str) -> str:
    from pipeline.config import load_configuration
    from pipeline.kubeflow_runner import compile_pipeline

    return compile_pipeline(load_configuration(EXAMPLE, [*OVERRIDES, *overrides]))


def container(spec: dict[str, Any], step: str) -> dict[str, Any]:
    label = spec["components"][step]["executorLabel"]
    found: dict[str, Any] = spec["deploymentSpec"]["executors"][label]["container"]
    return found


def test_it_is_the_schema_that_the_api_server_takes_with_the_steps_of_the_graph(spec: dict[str, Any]) -> None:
    from pipeline.config import load_configuration
    from pipeline.local import step_names

    assert spec["schemaVersion"] == "2.1.0"
    assert spec["pipelineInfo"]["name"] == "digits"
    assert set(spec["root"]["dag"]["tasks"]) == set(spec["components"]) == set(STEPS)
    assert step_names(load_configuration(EXAMPLE)) == STEPS
    assert spec["root"]["dag"]["tasks"]["Pusher"]["dependentTasks"] == ["Gate"]


def test_every_step_is_a_container_with_our_command_and_no_resolver(spec: dict[str, Any]) -> None:
    for step in STEPS:
        label = spec["components"][step]["executorLabel"]
        assert set(spec["deploymentSpec"]["executors"][label]) == {"container"}
        assert container(spec, step)["command"] == ["python", "-P", "-m", "components.kubeflow_entrypoint"]
        assert "lifecycle" not in container(spec, step)
        arguments = container(spec, step)["args"]
        inputs = json.loads(arguments[arguments.index("--json_serialized_inputs_spec_args") + 1])
        assert inputs == spec["components"][step].get("inputDefinitions", {})
    assert "resolver" not in json.dumps(spec).lower()


def test_drivers_are_named_where_there_are_some(spec: dict[str, Any]) -> None:
    named = {step: list(driver_of(container(spec, step)["args"])) for step in STEPS}
    assert {step for step, driver in named.items() if driver} == {"ImageExampleGen", "FineTuner", "Gate", "Pusher"}
    assert named["Gate"] == ["components.gate.driver.Driver"]


def driver_of(arguments: list[str]) -> list[str]:
    flag = "--driver_class_path"
    return arguments[arguments.index(flag) + 1 :][:1] if flag in arguments else []


def test_images_resources_environment_and_retries(spec: dict[str, Any]) -> None:
    images = {step: container(spec, step)["image"] for step in STEPS}
    assert images.pop("ImageExampleGen") == "registry.example/thaw-beam:1"
    assert set(images.values()) == {"registry.example/thaw:1@sha256:0123"}
    assert container(spec, "ImageExampleGen")["resources"] == {
        "resourceCpuLimit": "2",
        "resourceCpuRequest": "2",
        "resourceMemoryLimit": "8Gi",
        "resourceMemoryRequest": "8Gi",
    }
    accelerator = container(spec, "FineTuner")["resources"]["accelerator"]
    assert accelerator == {"resourceType": "nvidia.com/gpu", "resourceCount": "2"}
    assert [step for step in STEPS if "accelerator" in container(spec, step)["resources"]] == ["FineTuner"]
    endpoint = {"name": "AWS_ENDPOINT_URL", "value": "http://minio-service.kubeflow:9000"}
    assert all(container(spec, step)["env"] == [endpoint] for step in STEPS)
    retries = {step: task.get("retryPolicy") for step, task in spec["root"]["dag"]["tasks"].items()}
    assert retries.pop("FineTuner") == {"maxRetryCount": 3, "backoffDuration": "60s", "backoffFactor": 2.0}
    assert set(retries.values()) == {None}


def test_steps_that_use_beam_are_told_how_each_its_own_and_the_others_nothing(spec: dict[str, Any]) -> None:
    flink = {
        "runner": "flink",
        "job_endpoint": "flink-jobs.beam:8099",
        "parallelism": 4,
        "workers": {"pool": "localhost:50000"},
        "workspace": "gs://bucket/beam",
        "shared_folders": ["/data"],
        "steps": {"Transform": {"parallelism": 8}, "Evaluator": {"runner": "direct"}},
    }
    remote = next(yaml.safe_load_all(compiled(f"infrastructure.beam={json.dumps(flink)}")))
    here = beam_flags(spec, "Transform")
    assert {step: bool(beam_flags(spec, step)) for step in STEPS} == {
        step: step in ("ImageExampleGen", "Transform", "Evaluator") for step in STEPS
    }
    assert here[:2] == ["--runner=components.in_process_runner.InProcessRunner", "--direct_running_mode=in_memory"]
    assert beam_flags(remote, "Evaluator") == here
    assert beam_flags(remote, "ImageExampleGen") == [
        "--runner=PortableRunner",
        "--job_endpoint=flink-jobs.beam:8099",
        "--job_server_timeout=604800",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
        "--parallelism=4",
        "--thaw_workspace=gs://bucket/beam",
        "--thaw_shared_folder=/data",
        "--sdk_container_image=none",
    ]
    assert "--parallelism=8" in beam_flags(remote, "Transform")
    assert not beam_flags(remote, "FineTuner")


def beam_flags(spec: dict[str, Any], step: str) -> list[str]:
    """What our command hands to the executor as Beam's flags."""
    from components.kubeflow_entrypoint import command

    return command._parse(container(spec, step)["args"])[1]


def test_a_folder_for_the_activation_cache_reaches_the_trainer() -> None:
    from components.fine_tuner.cache_place import VARIABLE

    spec = next(yaml.safe_load_all(compiled("infrastructure.cache.folder=/cache", "model.cache=require")))
    named = {step: {item["name"]: item["value"] for item in container(spec, step)["env"]} for step in STEPS}
    assert [step for step in STEPS if VARIABLE in named[step]] == ["FineTuner"]
    place = json.loads(named["FineTuner"][VARIABLE])
    assert (place["mode"], place["folder"]) == ("require", "/cache")


def test_steps_that_look_outside_are_not_cached(spec: dict[str, Any]) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    cached = {step for step in STEPS if tasks[step]["cachingOptions"].get("enableCache")}
    assert cached == set(STEPS) - {"ImageExampleGen", "Gate", "Pusher"}


def test_parameters_have_the_configuration_as_defaults_and_reach_their_steps(spec: dict[str, Any]) -> None:
    from pipeline.kubeflow_parameters import defaults

    found = defaults(spec)
    assert set(found) == {
        *("data", "images", "pattern", "span", "transform", "model", "evaluation", "gate", "push_destination")
    }
    assert (found["images"], found["span"]) == ("/data/photographs", "")
    assert json.loads(found["model"])["seed"] == 0
    assert json.loads(found["data"])["max_refused_fraction"] == 0.05
    assert "images" not in json.loads(found["data"])
    tasks = spec["root"]["dag"]["tasks"]
    connected = {
        (step, name): item["componentInputParameter"]
        for step in STEPS
        for name, item in tasks[step].get("inputs", {}).get("parameters", {}).items()
        if "componentInputParameter" in item
    }
    assert set(connected.values()) == set(found)
    assert connected["ImageExampleGen", "settings__span"] == "span"
    assert connected["Gate", "push_destination"] == connected["Pusher", "push_destination"] == "push_destination"


def test_pods_have_volumes_secrets_shared_memory_and_places(pods: dict[str, Any]) -> None:
    assert set(pods) == set(STEPS), "each has the secret of the object store"
    trainer = pods["FineTuner"]
    assert trainer["emptyDirMounts"] == [
        {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "8Gi"}
    ]
    assert trainer["activeDeadlineSeconds"] == "7200"
    assert [item["key"] for item in trainer["tolerations"]] == ["nvidia.com/gpu"]
    assert [item["mountPath"] for item in trainer["secretAsVolume"]] == ["/secrets/weights"]
    assert [(item["mountPath"], item["subPath"]) for item in trainer["pvcMount"]] == [("/weights", "v1")]
    assert pods["ImageExampleGen"]["nodeSelector"] == {"labels": {"disk": "fast"}}
    mounts = {step: [item["constant"] for item in pod.get("pvcMount", ())] for step, pod in pods.items()}
    assert mounts == {
        **{step: [] for step in STEPS},
        "ImageExampleGen": ["photographs"],
        "FineTuner": ["weights"],
        "Gate": ["serving"],
        "Pusher": ["serving"],
    }


def test_no_output_is_the_beginning_of_another_since_kubeflow_fetches_by_prefix(spec: dict[str, Any]) -> None:
    for step in STEPS:
        names = sorted(spec["components"][step]["outputDefinitions"]["artifacts"])
        wrong = [(a, b) for a in names for b in names if a != b and b.startswith(a)]
        assert not wrong, step


def test_a_submission_changes_parameters_but_not_the_graph(spec: dict[str, Any]) -> None:
    from pipeline.kubeflow_parameters import arguments
    from trainer.errors import ConfigurationError

    changed = next(
        yaml.safe_load_all(compiled("model.seed=7", "gate.min_gain=0.01", 'data.images="/data/{YYYY}-{MM}-{DD}"'))
    )
    found = arguments(spec, changed)
    assert set(found) == {"model", "gate", "images"}
    assert json.loads(found["model"])["seed"] == 7
    assert arguments(spec, spec) == {}
    with pytest.raises(ConfigurationError, match="compile"):
        arguments(spec, next(yaml.safe_load_all(compiled("infrastructure.kubeflow.steps.FineTuner.gpus=4"))))


def test_another_process_writes_the_same_bytes(text: str, tmp_path: Path) -> None:
    arguments = [argument for override in OVERRIDES for argument in ("--set", override)]
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "compile",
        str(EXAMPLE),
        "-o",
        str(tmp_path / "p.yaml"),
        *arguments,
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    environment |= {"AWS_SECRET_ACCESS_KEY": "hunter2"}  # what the compiler can see, and must not write
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.yaml").read_text("utf-8") == text
    assert "hunter2" not in text
    assert "mlpipeline-minio-artifact" in text
    assert not [line for line in done.stderr.splitlines() if line.startswith("!")], "every place is on a volume"


def test_kfps_own_sdk_loads_it_and_compiles_it_again(text: str, spec: dict[str, Any], tmp_path: Path) -> None:
    from kfp import compiler, components, dsl

    loaded = components.load_component_from_text(text)

    @dsl.pipeline(name="around")
    def around(span: str = "latest") -> None:
        loaded(span=span)

    compiler.Compiler().compile(around, str(tmp_path / "around.yaml"))
    outer, platform = yaml.safe_load_all((tmp_path / "around.yaml").read_text("utf-8"))
    assert outer["schemaVersion"] == "2.1.0"
    (inner,) = (item["dag"] for item in outer["components"].values() if "dag" in item)
    assert set(inner["tasks"]) == set(STEPS)
    executors = outer["deploymentSpec"]["executors"].values()
    assert {item["container"]["image"] for item in executors} == {container(spec, step)["image"] for step in STEPS}
    assert len(platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]) == len(STEPS)


def test_without_the_section_it_says_what_is_missing() -> None:
    from pipeline.config import load_configuration
    from pipeline.kubeflow_runner import compile_pipeline
    from trainer.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=r"infrastructure\.kubeflow is missing"):
        compile_pipeline(load_configuration(EXAMPLE))
