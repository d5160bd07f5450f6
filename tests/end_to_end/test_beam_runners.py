"""On a real job server with workers in processes of their own, the steps make the same bytes as on the DirectRunner.

Beam's own job service serves by default. Another one serves where an environment variable names it, such as that of a
Flink cluster: THAW_BEAM_JOB_ENDPOINT=HOST:PORT. THAW_FLINK_JOB_SERVER_JAR is the path of Beam's job server for Flink,
which is then started with a cluster in itself. The workers are a pool that the test starts on this machine.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import DIGIT_NAMES, encode
from tests.end_to_end.beam_servers import (
    REPOSITORY,
    WorkerPool,
    flink_command,
    free_port,
    job_service_command,
    process,
    worker_pool_command,
)
from tests.end_to_end.kubeflow_emulator import Kubeflow
from tests.end_to_end.pods import EnvironmentPods, secret
from trainer.errors import ThawError

pytestmark = pytest.mark.slow

ENDPOINT, FLINK_JAR = "THAW_BEAM_JOB_ENDPOINT", "THAW_FLINK_JOB_SERVER_JAR"
NUM_PHOTOGRAPHS = 36
NUM_ENTRIES_PER_CHUNK = 7
NUM_JOBS = 4

Digits = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Path:
    """JPEGs of three classes, one of them twice, one cut off in the middle, and an empty one."""
    folder = tmp_path_factory.mktemp("photographs") / "all"
    for number, (pixels, label) in enumerate(zip(*digits, strict=True)):
        if number < NUM_PHOTOGRAPHS:
            path = folder / DIGIT_NAMES[label] / f"{number:03d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(pixels, size_px=24, file_format="JPEG"))
    first = next((folder / "two").iterdir())
    (folder / "two" / "again.jpg").write_bytes(first.read_bytes())
    (folder / "two" / "half.jpg").write_bytes(first.read_bytes()[:-200])
    (folder / "zéro" / "empty.jpg").touch()
    return folder


@pytest.fixture(scope="module")
def configuration_file(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    path = tmp_path_factory.mktemp("configuration") / "digits.yaml"
    content = {
        "name": "digits",
        "data": {"images": str(photographs), "stratify": True, "max_refused_fraction": 0.1},
        "model": {"backbone": "small_cnn", "weights": "none", "image_size_px": 16, "phases": "from_scratch"},
        "gate": {"first_push": "approve"},
        "infrastructure": {"root": "runs", "push_destination": "serving"},
    }
    path.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    return path


@pytest.fixture(scope="module")
def transformed(configuration_file: Path, logical_cpus: int) -> Callable[..., dict[str, Any]]:
    """Takes the photographs in, makes training data of them, and returns all that came of it."""
    from components.image_example_gen import staging
    from pipeline import local_runner
    from pipeline.config import load_configuration
    from pipeline.lineage import read_outputs

    def run(name: str, **beam: Any) -> dict[str, Any]:
        root = configuration_file.parent / name
        overrides = [f"infrastructure.root={root}", f"infrastructure.beam={json.dumps(beam)}"]
        configuration = load_configuration(configuration_file, overrides)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(staging, "NUM_ENTRIES_PER_CHUNK", NUM_ENTRIES_PER_CHUNK)
            local_runner.transform(configuration, "run", lambda event: None)
        steps = read_outputs(local_runner.metadata_connection(configuration), "run")
        return made(steps["ImageExampleGen"].uris, steps["Transform"].uris)

    return run


def made(ingested: dict[str, str], transformed: dict[str, str]) -> dict[str, Any]:
    """Every file by its name, and of record files every example."""
    quarantine = Path(ingested["quarantine"])
    labels = next(Path(transformed["transform_graph"]).rglob("assets/*"))
    return {
        "examples": examples_in(Path(ingested["examples"])),
        "transformed": examples_in(Path(transformed["transformed_examples"])),
        "quarantine": {path.name: path.read_bytes() for path in sorted(quarantine.iterdir()) if path.is_file()},
        "labels": labels.read_text("utf-8").split(),
    }


def examples_in(folder: Path) -> dict[str, list[bytes]]:
    import tensorflow as tf

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        for path in files
    }


@pytest.fixture(scope="module")
def on_this_machine(transformed: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return transformed("direct")


@pytest.fixture(scope="module")
def worker_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerPool]:
    port, log = free_port(), tmp_path_factory.mktemp("pool") / "log"
    with process(worker_pool_command(port), log, port):
        yield WorkerPool(f"localhost:{port}", log)


@pytest.fixture(scope="module", params=["beam", "named", "flink"])
def job_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a Beam job server."""
    folder, port = tmp_path_factory.mktemp("job server"), free_port()
    if request.param == "named":
        if ENDPOINT not in os.environ:
            pytest.skip(f"{ENDPOINT}=HOST:PORT names no job server")
        yield os.environ[ENDPOINT]
        return
    if request.param == "beam":
        command = job_service_command(port, folder / "staging")
    elif FLINK_JAR not in os.environ or shutil.which("java") is None:
        pytest.skip(f"{FLINK_JAR} names no job server of Flink, or there is no Java")
    else:
        command = flink_command(os.environ[FLINK_JAR], port, folder / "staging")
    with process(command, folder / "log", port):
        yield f"localhost:{port}"


def test_workers_of_a_job_server_make_the_bytes_of_the_direct_runner(
    on_this_machine: dict[str, Any],
    transformed: Callable[..., dict[str, Any]],
    job_server: str,
    worker_pool: WorkerPool,
    photographs: Path,
    tmp_path: Path,
) -> None:
    workspace, num_before = tmp_path / "workspace", worker_pool.num_started
    found = transformed(
        f"portable-{job_server.rpartition(':')[2]}",
        **remote(job_server, worker_pool, workspace),
        shared_folders=[str(photographs.parent)],
    )
    assert worker_pool.num_started >= num_before + NUM_JOBS, "the work was done by its processes"
    assert list(workspace.iterdir()) == [], "what was exchanged is gone"
    assert_same(found, on_this_machine)
    refused = [json.loads(line) for line in found["quarantine"]["refused.jsonl"].splitlines()]
    assert {item["path"]: item["reason"] for item in refused} == {
        "two/half.jpg": "truncated",
        "zéro/empty.jpg": "empty file",
    }


def test_a_pod_of_the_compiled_pipeline_gives_its_work_to_them_too(
    on_this_machine: dict[str, Any],
    configuration_file: Path,
    job_server: str,
    worker_pool: WorkerPool,
    photographs: Path,
    store: Kubeflow,
    tmp_path: Path,
) -> None:
    from pipeline.config import load_configuration
    from pipeline.kubeflow_runner import specifications

    beam = {**remote(job_server, worker_pool, tmp_path / "workspace"), "shared_folders": [str(photographs.parent)]}
    volumes = [{"claim": "shared", "mount_path": str(tmp_path)}]
    kubeflow = {"image": "registry.example/thaw:1", "default": {"volumes": volumes}}
    overrides = [f"infrastructure.beam={json.dumps(beam)}", f"infrastructure.kubeflow={json.dumps(kubeflow)}"]
    spec, _ = specifications(load_configuration(configuration_file, overrides))
    num_before = worker_pool.num_started
    made = store.run(spec, only=lambda task: task == "ImageExampleGen")["ImageExampleGen"]
    assert worker_pool.num_started > num_before
    found = examples_in(store.fetch(made["examples"]["uri"], tmp_path / "fetched"))
    assert by_split(found) == by_split(on_this_machine["examples"])
    assert made["quarantine"]["metadata"] == {"num_accepted": NUM_PHOTOGRAPHS + 1, "num_refused": 2}


def by_split(examples: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
    """A pod cuts into larger chunks, so the files are others."""
    splits = {name.split("/")[0] for name in examples}
    return {
        split: sorted(one for name, found in examples.items() if name.startswith(f"{split}/") for one in found)
        for split in splits
    }


def remote(job_server: str, worker_pool: WorkerPool, workspace: Path) -> dict[str, Any]:
    return {
        "runner": "portable",
        "job_endpoint": job_server,
        "workers": {"pool": worker_pool.endpoint},
        "workspace": str(workspace),
    }


@pytest.fixture
def store(tmp_path: Path, photographs: Path) -> Iterator[Kubeflow]:
    """An emulated Kubeflow over an object store."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="mlpipeline")
    volumes = str(photographs), str(tmp_path / "served")
    yield Kubeflow(client, "mlpipeline", EnvironmentPods(tmp_path / "pod", REPOSITORY, secret(endpoint), *volumes))
    server.stop()


def test_a_workspace_without_a_local_folder_is_enough(
    on_this_machine: dict[str, Any], transformed: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, for TensorFlow and Beam alone: whoever opens a file in another way than in a bucket fails."""
    import tensorflow as tf

    from pipeline import beam
    from tests.end_to_end import memory_file_system

    assert memory_file_system.MemoryFileSystem.scheme() == "ram", "Beam finds it where it has been imported"
    monkeypatch.setattr(tf.io.gfile, "rename", memory_file_system.rename)
    original = beam.beam_arguments
    monkeypatch.setattr(beam, "beam_arguments", lambda step: [*original(step), "--thaw_workspace=ram://workspace"])
    assert_same(transformed("in-memory"), on_this_machine)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in ("examples", "transformed"):
        assert found[name].keys() == expected[name].keys()
        assert found[name] == expected[name]
        assert sum(map(len, found[name].values())) == NUM_PHOTOGRAPHS + 1
    assert len(found["examples"]) > 2 * 3, "several chunks, and so several bundles"
    assert found["labels"] == expected["labels"]
    assert found["quarantine"] == expected["quarantine"]


def test_a_job_server_that_is_not_there_is_told(transformed: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    endpoint = f"localhost:{free_port()}"
    with pytest.raises(ThawError, match=rf"no Beam job server answers at '{endpoint}' .*infrastructure.beam.job_endpo"):
        transformed("absent", runner="flink", job_endpoint=endpoint, workers={"this_machine": True})
