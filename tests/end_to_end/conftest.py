"""The embedded example, run through the command line as a user would, once for all tests that look at it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from examples.digits.make_images import write_images

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "digits"


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    exit_status: int
    output: str
    errors: str


@dataclass(frozen=True)
class Workplace:
    """Photographs, a pipeline root and a push destination of their own, in a folder whose name is not plain ASCII."""

    folder: Path

    @property
    def photographs(self) -> Path:
        return self.folder / "photographs"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def served(self) -> Path:
        return self.folder / "served models"

    def command(self, config: str, *settings: str) -> list[str]:
        """`thaw run` of one of the example's configurations in this workplace."""
        places = (
            f"data.images={json.dumps(str(self.photographs))}",
            f"infrastructure.root={json.dumps(str(self.root))}",
            f"infrastructure.push_destination={json.dumps(str(self.served))}",
        )
        overrides = [argument for setting in (*places, *settings) for argument in ("--set", setting)]
        return [sys.executable, "-m", "pipeline.cli", "run", str(EXAMPLE / config), *overrides]

    def run(self, config: str, *settings: str) -> Finished:
        return execute(self.command(config, *settings))

    @property
    def warm_settings(self) -> tuple[str, ...]:
        """Of a short training that begins with the newest version; its push must not depend on a gain."""
        return (
            f"data.images={json.dumps(str(self.folder / 'photographs with negatives'))}",
            "model.warm_start=latest",
            "model.phases.0.epochs=3",
            "model.phases.1.epochs=2",
            "gate.min_gain=null",
            "gate.baseline_margins={accuracy: 0.2}",
            "gate.production_margins={accuracy: 0.2}",
            "gate.classes=null",
        )

    def records(self) -> list[dict[str, Any]]:
        """All run records, oldest first."""
        paths = sorted((self.root / "runs").glob("*/run.json"))
        return [json.loads(path.read_text("utf-8")) for path in paths]

    def versions(self) -> list[str]:
        return sorted(path.name for path in self.served.iterdir()) if self.served.is_dir() else []


def execute(command: list[str], **options: Any) -> Finished:
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment(), **options
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}


@pytest.fixture(scope="session")
def new_workplace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workplace]:
    def make(name: str) -> Workplace:
        workplace = Workplace(tmp_path_factory.mktemp("work") / name)
        write_images(workplace.photographs)
        return workplace

    return make


@pytest.fixture(scope="session")
def workplace(new_workplace: Callable[[str], Workplace]) -> Workplace:
    return new_workplace("thaw è ziffern 1")


@pytest.fixture(scope="session")
def good_run(workplace: Workplace) -> Finished:
    """The first run of the example, with nothing to reuse; `auto` would go by how busy the machine is."""
    return workplace.run("config.yaml", "model.cache=require")


@pytest.fixture(scope="session")
def good_record(good_run: Finished, workplace: Workplace) -> dict[str, Any]:
    assert good_run.exit_status == 0, good_run.output + good_run.errors
    return workplace.records()[0]


@pytest.fixture(scope="session")
def second_run(good_record: dict[str, Any], workplace: Workplace) -> Finished:
    """The same again, with nothing changed."""
    return workplace.run("config.yaml")


@pytest.fixture(scope="session")
def warm_run(harmful_run: Finished, workplace: Workplace) -> Finished:
    """A run on the same photographs and those of one class more, which begins with the pushed model."""
    photographs = workplace.folder / "photographs with negatives"
    shutil.copytree(workplace.photographs, photographs)
    (photographs / "negative five").mkdir()
    for path in sorted((workplace.photographs / "five").glob("1*.png"))[:40]:
        ImageOps.invert(Image.open(path).convert("L")).save(photographs / "negative five" / path.name)
    return workplace.run("config.yaml", *workplace.warm_settings)


@pytest.fixture(scope="session")
def harmful_run(second_run: Finished, workplace: Workplace) -> Finished:
    """The configuration in which fine-tuning does harm, on the same photographs and the same root."""
    return workplace.run("harmful.yaml")
