"""ImageExampleGen killed at any point of its work, and run again in the same place: not a byte differs."""

import hashlib
import multiprocessing
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.photographs import load_sources, photograph
from tests.unit.components.ingest_once import ingest_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NUM_PHOTOGRAPHS, NUM_KILLS = 160, 10
LONGEST_S = 300.0


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of photographs, copies that look alike, forms to be normalised, and files that are refused."""
    folder = tmp_path_factory.mktemp("photographs")
    sources = load_sources()
    for number in range(NUM_PHOTOGRAPHS):
        image = photograph(sources, number)
        path = folder / f"class {number % 3}" / f"{number:03}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.save(path, quality=90)
        if number % 8 == 0:
            image.resize((250, 188)).save(path.with_suffix(".png"))
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((250, 188)).save(path.with_suffix(".tif"))
        if number % 16 == 0:
            path.with_name(f"{number} half.jpg").write_bytes(path.read_bytes()[:3000])
            path.with_name(f"{number} text.jpg").write_text("no image")
    return folder


class Attempts:
    """Runs of the executor, each in a process of its own, which is forked where all is imported already."""

    def __init__(self, images: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([ingest_once.__module__])
        self._settings: dict[str, Any] = {"images": str(images), "max_refused_fraction": 0.2}

    def run(self, folder: Path, kill_after_s: float | None = None) -> tuple[float, int]:
        """Runs to the end, or to its violent end; returns how long the work took, and the exit status."""
        begun = self._context.Event()
        process = self._context.Process(target=ingest_once, args=(self._settings, folder, begun))
        process.start()
        assert begun.wait(LONGEST_S)
        started_at_s = time.monotonic()
        process.join(LONGEST_S if kill_after_s is None else kill_after_s)
        process.kill()
        process.join()
        assert process.exitcode is not None
        return time.monotonic() - started_at_s, process.exitcode


def digests(folder: Path) -> dict[str, str]:
    """Of every file, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_an_artifact_after_kills_is_that_of_an_undisturbed_run(images: Path, tmp_path: Path) -> None:
    attempts = Attempts(images)
    duration_s, status = attempts.run(tmp_path / "undisturbed")
    undisturbed = digests(tmp_path / "undisturbed")
    assert status == 0
    assert len(undisturbed) > 20
    chance = random.Random(20261122)
    left_behind = set()
    for number in range(NUM_KILLS):
        folder = tmp_path / f"killed {number}"
        # A run that was done before it could be killed tells nothing; the next is killed earlier.
        while attempts.run(folder, duration_s * (number + chance.random()) / NUM_KILLS)[1] != -signal.SIGKILL:
            duration_s *= 0.95
        left = digests(folder)
        assert left != undisturbed
        left_behind.add(frozenset(left.items()))
        assert attempts.run(folder)[1] == 0
        assert digests(folder) == undisturbed
    assert len(left_behind) > NUM_KILLS / 2  # the kills came at different points of the work
