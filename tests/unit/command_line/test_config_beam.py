"""What a configuration may say of Apache Beam's runners, their workers, and what these can see."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import Configuration, RunnerSettings, load_configuration, resolved_yaml
from trainer.errors import ConfigurationError

BEAM = "infrastructure.beam"
FLINK = (
    f"{BEAM}.runner=flink",
    f"{BEAM}.job_endpoint=flink-jobs:8099",
    f"{BEAM}.workers={{pool: 'localhost:50000'}}",
    f"{BEAM}.workspace=/shared/beam",
    "data.images=s3://bucket/photographs",
)
DATAFLOW = (
    f"{BEAM}={{runner: dataflow, project: p, region: europe-west4, workers: {{image: i}}}}",
    f"{BEAM}.temp_location=gs://bucket/t",
    "data.images=gs://bucket/photographs",
)
KUBEFLOW = "infrastructure.kubeflow.image=registry.example/thaw:1"


def loaded(config_path: Path, *overrides: str) -> Configuration:
    return load_configuration(config_path, overrides)


def told(config_path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        loaded(config_path, *overrides)
    return str(error.value)


def test_without_a_word_every_step_runs_here(config_path: Path) -> None:
    beam = loaded(config_path).infrastructure.beam
    assert {beam.of(name).runner for name in ("ImageExampleGen", "Transform", "Evaluator")} == {"direct"}
    assert not beam.is_remote


def test_a_step_joins_what_is_said_for_all_or_has_a_runner_of_its_own(config_path: Path) -> None:
    steps = "{Transform: {parallelism: 8, options: ['--max_parallelism=16']}, Evaluator: {runner: direct}}"
    options = f"{BEAM}.options=['--sdk_worker_parallelism=4']"
    beam = loaded(config_path, *FLINK, f"{BEAM}.parallelism=2", options, f"{BEAM}.steps={steps}").infrastructure.beam
    transform = beam.of("Transform")
    assert (transform.runner, transform.job_endpoint, transform.parallelism) == ("flink", "flink-jobs:8099", 8)
    assert transform.options == ("--sdk_worker_parallelism=4", "--max_parallelism=16")
    assert beam.of("ImageExampleGen").parallelism == 2
    assert beam.of("Evaluator") == RunnerSettings()


@pytest.mark.parametrize(
    "overrides",
    [
        FLINK,
        DATAFLOW,
        (*FLINK, f"{BEAM}.steps={{Evaluator: {{runner: direct}}, Transform: {{parallelism: 3}}}}"),
        (f"{BEAM}.direct_running_mode=multi_processing", f"{BEAM}.direct_num_workers=2"),
    ],
)
def test_what_is_resolved_reads_back_the_same(config_path: Path, overrides: tuple[str, ...]) -> None:
    configuration = loaded(config_path, *overrides)
    again = config_path.with_name("again.yaml")
    again.write_text(resolved_yaml(configuration), "utf-8")
    assert load_configuration(again) == configuration


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            (f"{BEAM}.job_endpoint=h:1",),
            "job_endpoint is 'h:1', but runner is direct; job_endpoint is for flink, spark",
        ),
        (
            (*FLINK, f"{BEAM}.direct_num_workers=2"),
            "direct_num_workers is 2, but runner is flink; direct_num_workers is",
        ),
        (
            (*FLINK, f"{BEAM}.runner=spark", f"{BEAM}.parallelism=4"),
            "parallelism is 4, but runner is spark; parallelism",
        ),
        ((*FLINK, f"{BEAM}.project=p"), "project is 'p', but runner is flink; project is for dataflow: leave it out"),
        ((*FLINK, f"{BEAM}.job_endpoint=null"), "runner is flink, which needs job_endpoint: HOST:PORT of the Beam job"),
        ((*FLINK, f"{BEAM}.workers=null"), "runner is flink, which needs workers: such as {pool: localhost:50000}"),
        ((*FLINK, f"{BEAM}.workspace=null"), "runner is flink, which needs workspace: a folder that is mounted under"),
        ((*FLINK, f"{BEAM}.workspace=shared"), "'shared' must be an absolute path, the same here and where the"),
        ((*FLINK, f"{BEAM}.workspace=s3://b/w"), "'s3://b/w' must be a folder that is mounted here and where the"),
        ((*FLINK, f"{BEAM}.workers={{}}"), "workers names nothing; name one of pool, image, command, this_machine"),
        (
            (*FLINK, f"{BEAM}.workers={{pool: 'h:1', image: i}}"),
            "workers names pool and image; name one of pool, image",
        ),
        (
            (*FLINK, f"{BEAM}.setup_file=/a/setup.py"),
            "setup_file is '/a/setup.py', but nothing installs it: workers.pool",
        ),
        ((*FLINK, f"{BEAM}.job_endpoint=http://h"), "'http://h' must match"),
        ((*FLINK, f"{BEAM}.steps={{Transform: {{project: p}}}}"), "for steps.Transform, project is 'p', but runner is"),
        (
            (*FLINK, f"{BEAM}.steps={{Transform: {{runner: spark}}}}"),
            "for steps.Transform, runner is spark, which needs",
        ),
        ((*FLINK, f"{BEAM}.steps={{StatisticsGen: {{}}}}"), "StatisticsGen"),
        ((*DATAFLOW, f"{BEAM}.project=null"), "runner is dataflow, which needs project: of Google Cloud"),
        ((*DATAFLOW, f"{BEAM}.region=null"), "runner is dataflow, which needs region: such as europe-west4"),
        (
            (*DATAFLOW, f"{BEAM}.temp_location=null"),
            "runner is dataflow, which needs temp_location: gs://BUCKET/FOLDER",
        ),
        (
            (*DATAFLOW, f"{BEAM}.temp_location=gs://bucket"),
            "infrastructure.beam.temp_location: 'gs://bucket' must match",
        ),
        (
            (*DATAFLOW, f"{BEAM}.workers={{pool: 'h:1'}}"),
            "runner is dataflow, whose workers are containers: say workers",
        ),
        (
            (*DATAFLOW, f"{BEAM}.workspace=/shared"),
            "workspace is '/shared', which Dataflow's workers cannot mount; give",
        ),
        ((*DATAFLOW, f"{BEAM}.num_workers=9", f"{BEAM}.max_num_workers=2"), "num_workers is 9, more than max_num_work"),
    ],
)
def test_what_cannot_be_is_refused_in_words(config_path: Path, overrides: tuple[str, ...], words: str) -> None:
    message = told(config_path, *overrides)
    assert words in message
    assert "infrastructure.beam" in message


def test_photographs_that_workers_cannot_see_are_refused_with_what_to_do(config_path: Path) -> None:
    images = str(config_path.parent / "photo graphs ü")
    message = told(config_path, *FLINK, f"data.images={images}")
    assert f"data.images is {images!r}, a place of this machine, which the workers of infrastructure.beam" in message
    assert "list it in infrastructure.beam.shared_folders" in message
    loaded(config_path, *FLINK, f"data.images={images}", f"{BEAM}.shared_folders=['{config_path.parent}']")
    loaded(config_path, *FLINK, "data.images=/shared/beam/photographs")
    loaded(config_path, *FLINK, f"data.images={images}", f"{BEAM}.steps={{ImageExampleGen: {{runner: direct}}}}")
    here = (f"{BEAM}.workers={{this_machine: true}}", f"{BEAM}.workspace=null")
    loaded(config_path, *FLINK, f"data.images={images}", *here)
    assert "put them into a bucket" in told(config_path, *DATAFLOW, f"data.images={images}")


def test_a_workspace_that_a_pod_does_not_mount_is_refused(config_path: Path) -> None:
    message = told(config_path, *FLINK, KUBEFLOW)
    assert (
        "workspace is '/shared/beam', but no volume of infrastructure.kubeflow is mounted there in the pod" in message
    )
    volume = "{claim: c, mount_path: /shared}"
    loaded(config_path, *FLINK, KUBEFLOW, f"infrastructure.kubeflow.default.volumes=[{volume}]")
    pod = f"{{volumes: [{volume}]}}"
    some = f"infrastructure.kubeflow.steps={{ImageExampleGen: {pod}, Transform: {pod}}}"
    assert "in the pod of Evaluator; add" in told(config_path, *FLINK, KUBEFLOW, some)
    loaded(config_path, *FLINK, KUBEFLOW, some, f"{BEAM}.steps={{Evaluator: {{runner: direct}}}}")
    loaded(config_path, *FLINK, KUBEFLOW, f"{BEAM}.workspace=gs://bucket/w")


@pytest.mark.slow  # Beam takes some seconds to import
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--sdk_worker_paralelism=4", "is no option of Beam's; nearest: --sdk_worker_parallelism"),
        ("--max_parallelism=many", "is not what Beam takes: argument --max_parallelism: invalid int value: 'many'"),
        ("sdk_worker_parallelism=4", "must begin with --"),
        ("--job_endpoint=h:1", "is said by a key of its own: infrastructure.beam.job_endpoint"),
    ],
)
def test_an_option_that_beam_does_not_know_is_refused(config_path: Path, option: str, words: str) -> None:
    message = told(config_path, *FLINK, f"{BEAM}.options=['{option}']")
    assert words in message
    assert f"{BEAM}.options" in message


def test_beam_is_not_imported_where_no_options_are_checked(config_path: Path) -> None:
    overrides = ", ".join(map(repr, FLINK))
    code = (
        "import sys, pathlib; from pipeline.config import load_configuration\n"
        f"load_configuration(pathlib.Path({str(config_path)!r}), [{overrides}])\n"
        "print('apache_beam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
