"""Where the commands of the compiled pipeline run: in the built image where there is one, else in this environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LAUNCHERS_FOLDERS = ("minio", "s3", "gcs")
ENTER = Path(__file__).with_name("enter_image")
PHOTOGRAPHS, SERVING = "/mnt", "/srv"
"""Where volumes are mounted in the image: folders that a read-only root has."""


def secret(endpoint: str) -> dict[str, str]:
    """What a secret would give: access to the store."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


class Pods(Protocol):
    """Starts commands.

    Attributes:
        folder: of the launcher: `minio`, `s3` and `gcs` in it are what a pod sees at `prefix`.
        prefix: what stands before `/minio` in a pod.
        photographs, serving: volumes, as a pod sees them.
        example: the folder of the digits' configuration and weights, as a pod sees it.
    """

    folder: Path
    prefix: str
    photographs: str
    serving: str
    example: str

    def make_folder(self) -> None:
        """Makes the launcher's folder, empty."""

    def hand_over(self) -> None:
        """What the launcher has put there belongs to the user of the pod, as the launcher runs as that user."""

    def start(self, command: Sequence[str], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Starts a command; its output, errors too, is to be read."""


@dataclass(frozen=True)
class EnvironmentPods:
    """Processes in this environment, with the packages of this checkout."""

    folder: Path
    repository: Path
    given: Mapping[str, str]
    photographs: str
    serving: str

    @property
    def example(self) -> str:
        return str(self.repository / "examples" / "digits")

    @property
    def prefix(self) -> str:
        return str(self.folder)

    def make_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def hand_over(self) -> None:
        pass

    def start(self, command: Sequence[str], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "THAW_"))}
        environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.repository),
            "THAW_KUBEFLOW_LOCAL_ROOT": str(self.folder),
            **self.given,
            **variables,
        }
        return _started(command, environment, self.folder)


@dataclass(frozen=True)
class Image:
    """A built image: its file system, and what its configuration says of processes in it."""

    root: Path
    user: str
    folder: str
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]

    @classmethod
    def at_hand(cls) -> "Image | None":
        """The one that `infra/environment run --image` has mounted."""
        root = os.environ.get("THAW_IMAGE_ROOT")
        if root is None:
            assert os.environ.get("THAW_IMAGE_REQUIRED") != "1", cls.why_not()
            return None
        said: dict[str, Any] = json.loads(Path(os.environ["THAW_IMAGE_CONFIG"]).read_text("utf-8"))["OCIv1"]["config"]
        environment = dict(item.split("=", 1) for item in said["Env"])
        return cls(Path(root), said["User"], said["WorkingDir"], tuple(said["Entrypoint"]), environment, said["Labels"])

    @staticmethod
    def why_not() -> str:
        """Why there is none."""
        return os.environ.get("THAW_IMAGE_MISSING", "no image was looked for: make test-image")

    def start(
        self, command: Sequence[str], variables: Mapping[str, str], mounts: Mapping[Path, str]
    ) -> "subprocess.Popen[str]":
        """Starts a command as the image's user, with the root file system read-only, and no variable of ours.

        Args:
            command: looked for on the image's PATH.
            variables: in addition to the image's own.
            mounts: folders out here, and where they are inside; there must be a folder there.
        """
        places = [item for source, target in mounts.items() for item in (str(source), target)]
        environment = [f"{name}={value}" for name, value in {**self.environment, **variables}.items()]
        enter = ["unshare", "--mount", "--propagation", "private", str(ENTER), str(self.root), self.user, self.folder]
        return _started(
            [*enter, str(len(mounts)), *places, *environment, *command], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, None
        )

    def run(self, *command: str, mounts: Mapping[Path, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end; errors are in the output."""
        process = self.start(command, {}, mounts or {})
        output, _ = process.communicate(timeout=600)
        return subprocess.CompletedProcess(command, process.returncode, output)

    def give(self, folder: Path) -> None:
        """Makes a folder and what is in it the property of the image's user."""
        user, group = map(int, self.user.split(":"))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, group)


@dataclass(frozen=True)
class ImagePods:
    """Processes in the image: /tmp, the launcher's folders and two volumes can be written, and nothing else.

    Attributes:
        volumes: photographs and pushed models, out here.
    """

    image: Image
    folder: Path
    volumes: tuple[Path, Path]
    given: Mapping[str, str]
    prefix: str = ""
    photographs: str = PHOTOGRAPHS
    serving: str = SERVING
    example: str = "/opt/thaw/examples/digits"

    def make_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in (*LAUNCHERS_FOLDERS, "tmp"):
            (self.folder / name).mkdir(parents=True)
        for folder in (self.folder / "tmp", self.volumes[1]):
            folder.mkdir(exist_ok=True)
            self.image.give(folder)

    def hand_over(self) -> None:
        for name in LAUNCHERS_FOLDERS:
            self.image.give(self.folder / name)

    def start(self, command: Sequence[str], variables: Mapping[str, str]) -> "subprocess.Popen[str]":
        mounts = {self.folder / name: f"/{name}" for name in (*LAUNCHERS_FOLDERS, "tmp")}
        mounts |= dict(zip(self.volumes, (self.photographs, self.serving), strict=True))
        return self.image.start(command, {**self.given, **variables}, mounts)


def _started(command: Sequence[str], environment: Mapping[str, str], folder: Path | None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
