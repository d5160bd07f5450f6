"""Whether the exported model works where none of our code is, and answers as it was evaluated."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.gate.inference import Sample
from components.gate.predictions import Scores
from components.gate.verdict_schema import Latency

_SCRIPT = Path(__file__).with_name("ask_saved_model.py")
_TIME_LIMIT_S = 900
TOLERANCE = 1e-4
"""By how much a score may differ: a batch of another size adds in another order."""


@dataclass(frozen=True)
class SmokeTest:
    """What came out.

    Attributes:
        num_images: how many photographs were asked about.
        num_classes: of how many classes they are.
        largest_difference: of a score from that of the evaluation; None where there is no answer.
        failure: why there is no answer, or "".
        num_parameters: of the weights.
        latency: by batch size.
    """

    num_images: int
    num_classes: int
    largest_difference: float | None
    failure: str = ""
    num_parameters: int | None = None
    latency: tuple[Latency, ...] = ()

    @property
    def is_passed(self) -> bool:
        """Whether every photograph was answered, and as at the evaluation."""
        return not self.failure and self.largest_difference is not None and self.largest_difference <= TOLERANCE


def smoke_test(saved_model: str, samples: Sequence[Sample], recorded: Scores, num_classes: int) -> SmokeTest:
    """Loads the model in a fresh process that has TensorFlow alone, and asks it about raw photographs.

    Args:
        saved_model: folder of the SavedModel.
        samples: photographs of every class.
        recorded: float32 [examples, classes], what the evaluation recorded.
        num_classes: of how many classes the photographs are.
    """
    with tempfile.TemporaryDirectory(prefix="thaw-smoke-test-") as folder:
        images, answers = Path(folder) / "images", Path(folder) / "answers.json"
        images.mkdir()
        for number, sample in enumerate(samples):
            (images / str(number)).write_bytes(sample.image)
        failure = _ask(saved_model, images, answers)
        if failure:
            return SmokeTest(len(samples), num_classes, None, failure)
        found = json.loads(answers.read_text("utf-8"))
    errors = [error for error in found["errors"] if error]
    return SmokeTest(
        num_images=len(samples),
        num_classes=num_classes,
        largest_difference=_largest_difference(found["scores"], recorded[[sample.index for sample in samples]]),
        failure=f"{len(errors)} of {len(samples)} photographs are not answered: {errors[0]}" if errors else "",
        num_parameters=found["num_parameters"],
        latency=tuple(Latency(**row) for row in found["latency"]),
    )


def _ask(saved_model: str, images: Path, answers: Path) -> str:
    """Runs the script; returns why it failed, or ""."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # -I: neither the current folder nor PYTHONPATH nor the script's own folder is on the path.
    command = [sys.executable, "-I", str(_SCRIPT), saved_model, str(images), str(answers)]
    try:
        done = subprocess.run(
            command, cwd="/", env=environment, capture_output=True, timeout=_TIME_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it has not answered within {_TIME_LIMIT_S} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return f"the process ended with status {done.returncode}: {lines[-1] if lines else 'no message'}"


def _largest_difference(scores: Sequence[Sequence[float]], recorded: Scores) -> float | None:
    found = np.asarray(scores, np.float64)
    if found.shape != recorded.shape or not found.size:
        return None
    largest = float(np.abs(found - recorded).max())
    return largest if math.isfinite(largest) else None
