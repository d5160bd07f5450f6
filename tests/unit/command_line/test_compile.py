"""`thaw compile`, up to what needs TFX; `tests/contract/test_kubeflow_pipeline.py` looks at what it writes."""

from pathlib import Path

import pytest

from pipeline.cli.compile import compile_, unmounted_places
from pipeline.config import load_configuration
from pipeline.kubeflow_parameters import arguments, defaults
from trainer.errors import ConfigurationError

IMAGE = "infrastructure.kubeflow.image=registry.example/thaw:1"


def told_of(config_path: Path, *overrides: str) -> list[str]:
    return list(unmounted_places(load_configuration(config_path, [IMAGE, *overrides])))


def test_places_that_no_volume_holds_are_told_of(config_path: Path) -> None:
    images, at_gate, at_pusher = told_of(config_path)
    assert "data.images is " in images and "ImageExampleGen mounts no volume there: it must be in the image" in images
    assert "Gate mounts no volume there: what is pushed is gone with the pod" in at_gate
    assert "Pusher" in at_pusher


def test_what_is_mounted_or_in_a_bucket_is_not(config_path: Path) -> None:
    serving = "{volumes: [{claim: serving, mount_path: /serving}]}"
    assert not told_of(
        config_path,
        "data.images=s3://bucket/photographs",
        "infrastructure.push_destination=/serving/shapes",
        f"infrastructure.kubeflow.steps={{Gate: {serving}, Pusher: {serving}}}",
    )


def test_a_mount_that_only_begins_alike_holds_nothing(config_path: Path) -> None:
    found = told_of(
        config_path,
        "data.images=/database/photographs",
        "infrastructure.kubeflow.default={volumes: [{claim: c, mount_path: /data}]}",
    )
    assert any("/database/photographs" in words for words in found)


@pytest.mark.parametrize(
    ("output", "words"), [("pipeline.json", "as .yaml or .yml files"), ("absent/pipeline.yaml", "make it first")]
)
def test_an_output_that_cannot_be_is_told_before_anything_is_compiled(
    output: str, words: str, config_path: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        compile_(config_path, tmp_path / output, [IMAGE])


def specification(**values: str) -> dict[str, object]:
    parameters = {name: {"parameterType": "STRING", "defaultValue": value} for name, value in values.items()}
    return {"root": {"inputDefinitions": {"parameters": parameters}}, "image": "thaw:1"}


def test_a_submission_sends_the_parameters_that_differ() -> None:
    uploaded = specification(model="{}", span="latest")
    assert defaults(uploaded) == {"model": "{}", "span": "latest"}
    assert arguments(uploaded, specification(model="{}", span="7")) == {"span": "7"}
    with pytest.raises(ConfigurationError, match="`thaw compile` it again"):
        arguments(uploaded, {**specification(model="{}", span="7"), "image": "thaw:2"})
