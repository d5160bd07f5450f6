"""On a real job server with workers in processes of their own, the steps make the same bytes as on the DirectRunner.

Beam's own job service serves by default. Another one serves where an environment variable names it, such as that of a
Flink cluster: THAW_BEAM_JOB_ENDPOINT=HOST:PORT. THAW_FLINK_JOB_SERVER_JAR is the path of Beam's job server for Flink,
which is then started with a cluster in itself. The workers are a pool that the test starts on this machine.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import DIGIT_NAMES, encode
from trainer.errors import ThawError

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
ENDPOINT, FLINK_JAR = "THAW_BEAM_JOB_ENDPOINT", "THAW_FLINK_JOB_SERVER_JAR"
NUM_PHOTOGRAPHS = 36
NUM_ENTRIES_PER_CHUNK = 7
NUM_JOBS = 4
MAX_START_S = 180

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


@dataclass(frozen=True)
class WorkerPool:
    """Beam's worker pool, as a sidecar of the image starts it."""

    endpoint: str
    log: Path

    @property
    def num_started(self) -> int:
        """How many workers it has started so far, each a process."""
        return self.log.read_text("utf-8").count("Starting worker with command")


@pytest.fixture(scope="module")
def worker_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerPool]:
    port, log = free_port(), tmp_path_factory.mktemp("pool") / "log"
    command = ["-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with process([sys.executable, *command], log, port):
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
        module = "apache_beam.runners.portability.local_job_service_main"
        command = [sys.executable, "-m", module, f"--port={port}", f"--staging_dir={folder / 'staging'}"]
    else:
        if FLINK_JAR not in os.environ or shutil.which("java") is None:
            pytest.skip(f"{FLINK_JAR} names no job server of Flink, or there is no Java")
        command = ["java", "-jar", os.environ[FLINK_JAR], "--flink-master=[local]", f"--job-port={port}"]
        command += ["--artifact-port=0", "--expansion-port=0", f"--artifacts-dir={folder / 'staging'}"]
    with process(command, folder / "log", port):
        yield f"localhost:{port}"


@contextmanager
def process(command: list[str], log: Path, port: int) -> Iterator[None]:
    """A process that listens, with all that it starts; ended with the block."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}
    with log.open("wb") as file:
        child = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(port, child, log)
        yield
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def wait_for(port: int, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + MAX_START_S
    while time.monotonic() < deadline_s:
        assert child.poll() is None, log.read_text("utf-8")
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text("utf-8"))


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        port: int = listening.getsockname()[1]
        return port


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
        runner="portable",
        job_endpoint=job_server,
        workers={"pool": worker_pool.endpoint},
        workspace=str(workspace),
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
