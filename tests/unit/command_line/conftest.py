"""A small configuration with real files, and `thaw` as a real process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[3]

CONFIGURATION = """\
name: shapes
data:
  images: photo graphs ü
model:
  backbone: small_cnn
  weights: none
  image_size_px: 32
  phases:
    - {name: head, epochs: 3, learning_rate: 1e-3}
    - {name: fine_tune, unfreeze: {last_layers: 3}, epochs: 3, learning_rate: 1e-4}
gate: {floors: {accuracy: 0.9}}
infrastructure: {root: runs/shapes, push_destination: serving/shapes}
"""

Thaw = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """A configuration file beside its photographs; the first of them cannot be read."""
    folder = tmp_path / "photo graphs ü" / "circles"
    folder.mkdir(parents=True)
    (folder / "0 flawed.png").write_text("not an image")
    Image.new("RGB", (8, 8)).save(folder / "a b.png")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    return path


@pytest.fixture
def environment() -> dict[str, str]:
    left_out = ("COLUMNS", "PYTHONUNBUFFERED", "THAW_COMMAND")
    plain = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**plain, "PYTHONPATH": str(REPOSITORY), "TZ": "UTC"}


@pytest.fixture
def thaw(tmp_path: Path, environment: dict[str, str]) -> Thaw:
    """Runs the real `thaw` in a process of its own; the folder of the configuration is the current one."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return _call([sys.executable, "-m", "pipeline.cli", *map(str, arguments)], tmp_path, environment)

    return call


@pytest.fixture
def thaw_with_fake_pipeline(tmp_path: Path, environment: dict[str, str]) -> Thaw:
    """The same with a pipeline that only pretends; `ends` says how it ends (see fake_pipeline.py)."""

    def call(*arguments: str | Path, ends: str = "pushed") -> subprocess.CompletedProcess[str]:
        program = Path(__file__).with_name("fake_pipeline.py")
        command = [sys.executable, str(program), *map(str, arguments)]
        return _call(command, tmp_path, {**environment, "FAKE_PIPELINE_ENDS": ends})

    return call


def _call(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
