"""Folders of real image files."""

from collections.abc import Callable
from pathlib import Path

import pytest

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _devices(logical_cpus: int) -> None:
    """TensorFlow starts with the devices that the tests of trainer need later in the same process."""


@pytest.fixture
def make_folder(tmp_path: Path, digit_files: list[tuple[bytes, str]]) -> MakeFolder:
    """Writes digits as class folders, each under `class/NUMBER.png`."""

    def make(name: str = "photo graphs", num_files: int = 60) -> Path:
        for number, (content, label) in enumerate(digit_files[:num_files]):
            path = tmp_path / name / label / f"{number} ü.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / name

    return make
