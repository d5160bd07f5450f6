"""What Beam is told for each step, here and on Kubeflow."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import BeamSettings, load_configuration
from trainer.errors import ConfigurationError

pytestmark = pytest.mark.slow  # TFX takes half a minute to import

POOL: dict[str, Any] = {"job_endpoint": "jobs:8099", "workers": {"pool": "localhost:50000"}, "workspace": "/shared"}
CLOUD: dict[str, Any] = {
    "runner": "dataflow",
    "project": "pets-1234",
    "region": "europe-west4",
    "temp_location": "gs://bucket/t",
    "workers": {"image": "registry.example/thaw-beam:1"},
}


def arguments(**said: Any) -> list[str]:
    from pipeline.beam import beam_arguments

    return beam_arguments(BeamSettings.model_validate(said))


def options(flags: list[str]) -> dict[str, Any]:
    """As Beam understands them; it must understand all but our own."""
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.beam_workers import sight_of

    found: list[Any] = []
    _, of_beam = sight_of(flags)
    values: dict[str, Any] = PipelineOptions(of_beam).get_all_options(add_extra_args_fn=found.append)
    assert found[0].parse_known_args(of_beam)[1] == [], "an option that Beam does not know"
    return values


@pytest.mark.parametrize(
    ("workers", "environment", "config"),
    [
        ({"pool": "localhost:50000"}, "EXTERNAL", "localhost:50000"),
        ({"image": "registry.example/thaw-beam:1"}, "DOCKER", "registry.example/thaw-beam:1"),
        ({"this_machine": True}, "LOOPBACK", None),
    ],
)
def test_a_job_server_is_told_of_the_workers(workers: dict[str, Any], environment: str, config: str | None) -> None:
    found = options(arguments(runner="flink", **{**POOL, "workers": workers}, parallelism=4))
    assert (found["runner"], found["job_endpoint"], found["parallelism"]) == ("PortableRunner", "jobs:8099", 4)
    assert (found["environment_type"], found["environment_config"]) == (environment, config)


def test_a_boot_program_of_the_nodes_is_named() -> None:
    found = options(arguments(runner="spark", **{**POOL, "workers": {"command": "/opt/apache/beam/boot"}}))
    assert (found["environment_type"], found["environment_options"]) == (
        "PROCESS",
        ["process_command=/opt/apache/beam/boot"],
    )


def test_beam_takes_what_dataflow_is_told() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    flags = arguments(**CLOUD, num_workers=2, max_num_workers=8, options=["--machine_type=n2-standard-4"])
    found = options(flags)
    assert (found["project"], found["region"], found["temp_location"]) == ("pets-1234", "europe-west4", "gs://bucket/t")
    assert (found["sdk_container_image"], found["num_workers"]) == ("registry.example/thaw-beam:1", 2)
    assert found["machine_type"] == "n2-standard-4"
    assert "--thaw_workspace=gs://bucket/t" in flags
    # Dry: it would ask Google about the bucket.
    of_beam = ["--dry_run=true", *(flag for flag in flags if not flag.startswith("--thaw"))]
    assert PipelineOptionsValidator(PipelineOptions(of_beam), DataflowRunner()).validate() == []
    without = [flag for flag in of_beam if not flag.startswith("--project")]
    assert PipelineOptionsValidator(PipelineOptions(without), DataflowRunner()).validate() != []


@pytest.mark.parametrize("said", [{"runner": "flink", **POOL}, CLOUD, {}], ids=["job server", "dataflow", "here"])
def test_tfx_packs_no_source_of_its_own(said: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from tfx.utils import dependency_utils

    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("packed"))
    flags = arguments(**said)
    assert dependency_utils.make_beam_dependency_flags(flags) == flags


def test_each_step_that_uses_beam_is_told_its_own_and_the_others_nothing(config_path: Path) -> None:
    from tfx.dsl.components.base import executor_spec

    from pipeline.beam import give_beam_arguments
    from pipeline.graph import build_components

    beam = BeamSettings.model_validate(
        {"runner": "flink", **POOL, "steps": {"Transform": {"parallelism": 8}, "Evaluator": {"runner": "direct"}}}
    )
    told = {
        node.id: node.executor_spec.beam_pipeline_args
        for node in give_beam_arguments(build_components(load_configuration(config_path)), beam)
        if isinstance(node.executor_spec, executor_spec.BeamExecutorSpec)
    }
    assert told.keys() == {"ImageExampleGen", "Transform", "Evaluator"}
    assert "--parallelism=8" in told["Transform"]
    assert "--runner=PortableRunner" in told["ImageExampleGen"]
    assert not any(flag.startswith("--parallelism") for flag in told["ImageExampleGen"])
    assert told["Evaluator"] == arguments()


def test_workers_in_the_process_of_a_pod_are_refused(config_path: Path) -> None:
    from pipeline.kubeflow_runner import compile_pipeline

    beam = "{runner: portable, job_endpoint: 'jobs:8099', workers: {this_machine: true}}"
    configuration = load_configuration(
        config_path, [f"infrastructure.beam={beam}", "infrastructure.kubeflow.image=registry.example/thaw:1"]
    )
    with pytest.raises(ConfigurationError, match=r"workers\.this_machine is true for ImageExampleGen"):
        compile_pipeline(configuration)
