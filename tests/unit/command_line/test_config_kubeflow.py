"""What a configuration may say of Kubeflow Pipelines."""

from pathlib import Path

import pytest

from pipeline.config import KubeflowSettings, load_configuration
from trainer.errors import ConfigurationError

KUBEFLOW = "infrastructure.kubeflow"
IMAGE = f"{KUBEFLOW}.image=registry.example/thaw:1"


def settings(config_path: Path, *overrides: str) -> KubeflowSettings:
    found = load_configuration(config_path, [IMAGE, *overrides]).infrastructure.kubeflow
    assert found is not None
    return found


def told(config_path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        settings(config_path, *overrides)
    return str(error.value)


def test_what_a_step_does_not_say_is_the_default_and_lists_and_mappings_join(config_path: Path) -> None:
    found = settings(
        config_path,
        f"{KUBEFLOW}.default={{cpu: '2', memory: 4Gi, retries: 1, environment: {{A: a, B: b}}, "
        "volumes: [{claim: photographs, mount_path: /data}]}",
        f"{KUBEFLOW}.steps={{FineTuner: {{cpu: 500m, gpus: 2, environment: {{B: c}}, "
        "volumes: [{claim: weights, mount_path: /weights}]}}",
    )
    step = found.of("FineTuner")
    assert (step.cpu, step.memory, step.gpus, step.retries) == ("500m", "4Gi", 2, 1)
    assert step.environment == {"A": "a", "B": "c"}
    assert [volume.claim for volume in step.volumes] == ["photographs", "weights"]
    assert found.of("Gate").cpu == "2"
    assert found.of("Gate").gpus is None


def test_gpus_bring_shared_memory(config_path: Path) -> None:
    found = settings(config_path, f"{KUBEFLOW}.steps={{FineTuner: {{gpus: 2}}, Gate: {{gpus: 1, shared_memory: 8Gi}}}}")
    assert found.of("FineTuner").shared_memory_size == "2Gi"
    assert found.of("Gate").shared_memory_size == "8Gi"
    assert found.of("Pusher").shared_memory_size is None


def test_steps_that_look_outside_are_never_cached(config_path: Path) -> None:
    found = settings(config_path, f"{KUBEFLOW}.steps={{StatisticsGen: {{cache: false}}}}")
    cached = {
        name: found.of(name).cache for name in ("ImageExampleGen", "StatisticsGen", "Transform", "Gate", "Pusher")
    }
    assert cached == {
        "ImageExampleGen": False,
        "StatisticsGen": False,
        "Transform": True,
        "Gate": False,
        "Pusher": False,
    }
    assert "Gate is never cached" in told(config_path, f"{KUBEFLOW}.steps={{Gate: {{cache: true}}}}")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (f"{KUBEFLOW}.pipeline_root=file:///x", "must be minio://BUCKET/…, s3://BUCKET/… or gs://BUCKET/…"),
        (
            f"{KUBEFLOW}.checkpoints=somewhere",
            "must be none, an absolute path in the container, or a place in a bucket",
        ),
        (f"{KUBEFLOW}.steps={{Trainer: {{}}}}", "Trainer"),
        (f"{KUBEFLOW}.steps={{FineTuner: {{cpus: '2'}}}}", "cpus"),
        (f"{KUBEFLOW}.steps={{FineTuner: {{memory: 8 GB}}}}", "'8 GB'"),
        (
            f"{KUBEFLOW}.default={{volumes: [{{claim: c, mount_path: data}}]}}",
            "must be an absolute path in the container",
        ),
        (f"{KUBEFLOW}.default={{secrets: [{{name: s}}]}}", "must have either environment"),
        (f"{KUBEFLOW}.default={{tolerations: [{{value: x}}]}}", "needs operator Exists"),
        (
            f"{KUBEFLOW}.default={{volumes: [{{claim: a, mount_path: /d}}, {{claim: b, mount_path: /d/}}]}}",
            "mounts '/d' twice",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(override: str, words: str, config_path: Path) -> None:
    message = told(config_path, override)
    assert words in message
    assert "infrastructure.kubeflow" in message


def test_a_secret_in_the_environment_is_refused_and_not_repeated(config_path: Path) -> None:
    message = told(config_path, f"{KUBEFLOW}.default={{environment: {{AWS_SECRET_ACCESS_KEY: hunter2}}}}")
    assert "AWS_SECRET_ACCESS_KEY looks like a secret" in message
    assert "hunter2" not in message


def test_the_path_of_a_mounted_secret_is_none(config_path: Path) -> None:
    names = "{GOOGLE_APPLICATION_CREDENTIALS: /secrets/key.json, AWS_WEB_IDENTITY_TOKEN_FILE: /secrets/token}"
    assert len(settings(config_path, f"{KUBEFLOW}.default={{environment: {names}}}").of("Gate").environment) == 2
    key = f"{KUBEFLOW}.default={{environment: {{GOOGLE_APPLICATION_CREDENTIALS: '{{private_key}}'}}}}"
    assert "GOOGLE_APPLICATION_CREDENTIALS looks like a secret" in told(config_path, key)
