"""Beam's job servers and worker pools, as processes of this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAX_START_S = 180


@dataclass(frozen=True)
class WorkerPool:
    """Beam's worker pool, as a sidecar of the image starts it."""

    endpoint: str
    log: Path

    @property
    def num_started(self) -> int:
        """How many workers it has started so far, each a process."""
        return self.log.read_text("utf-8").count("Starting worker with command")


def job_service_command(port: int, folder: Path) -> list[str]:
    """Beam's own job server, in Python."""
    module = "apache_beam.runners.portability.local_job_service_main"
    return [sys.executable, "-m", module, f"--port={port}", f"--staging_dir={folder}"]


def flink_command(jar: str, port: int, folder: Path) -> list[str]:
    """Beam's job server for Flink, with a cluster in itself."""
    ports = [f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"]
    return ["java", "-jar", jar, "--flink-master=[local]", *ports, f"--artifacts-dir={folder}"]


def worker_pool_command(port: int) -> list[str]:
    """What a sidecar of the image runs."""
    return [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]


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
