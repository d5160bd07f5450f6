"""`thaw`, with a pipeline that makes noise and reports progress but computes nothing.

The real pipeline is tested end to end; with it, seeing each of these outcomes would take minutes.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from components.gate.verdict_schema import MetricRow, Verdict
from pipeline import local
from pipeline.cli.main import main
from pipeline.config import Configuration
from pipeline.local import RunOutcome, StepEvent
from trainer.errors import ConfigurationError, ThawError
from trainer.interruption import Interrupted
from trainer.progress import Progress, report

EXAMPLE = Path(__file__).parents[2] / "verdict_example.json"


def run_fake(configuration: Configuration, run_dir: Path, on_step: Callable[[StepEvent], None]) -> RunOutcome:
    ends = os.environ["FAKE_PIPELINE_ENDS"]
    _make_noise()
    state: local.StepState = "reused" if ends == "reused" else "done"
    for name in local.step_names(configuration):
        on_step(StepEvent(name, "started", None))
        if name == "ImageExampleGen":
            report(Progress(2, 2, "images"))
        if name == "FineTuner" and state == "done":
            _train()
            _end(ends, run_dir, on_step)
        on_step(StepEvent(name, state, 0.25))
    return _outcome(configuration, approved=ends != "refused", is_pushed=ends not in ("refused", "lost"))


def _make_noise() -> None:
    os.write(2, b"noise from C\n")
    print("noise from Python")
    subprocess.run([sys.executable, "-c", "print('noise from a child')"], check=True)


def _train() -> None:
    for epoch in (1, 2):
        report(Progress(epoch, 2, "epochs", f"head {epoch}/2 · loss 0.{epoch}"))


def _end(ends: str, run_dir: Path, on_step: Callable[[StepEvent], None]) -> None:
    if ends == "thaw error":
        raise ThawError("no layer 'blok4'; nearest: 'block4_conv'")
    if ends == "configuration error":
        raise ConfigurationError("no backbone 'small_cnm'; nearest: 'small_cnn'")
    if ends == "defect":
        raise RuntimeError("boom\nand more")
    if ends == "exit":
        sys.exit(0)
    if ends == "missing package":
        raise ImportError("No module named 'tfx'")
    if ends == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ends == "saved":  # as a training ends at SIGTERM, and ObservedRunner tells of it
        on_step(StepEvent("FineTuner", "interrupted", 0.25))
        raise Interrupted("training was told to stop (SIGTERM) in phase 'head' after step 5")
    if ends == "waits":
        (run_dir / "waiting").touch()
        time.sleep(60)


def _outcome(configuration: Configuration, *, approved: bool, is_pushed: bool) -> RunOutcome:
    rows = (("calibration", None, 1.01),)
    example = Verdict.model_validate_json(EXAMPLE.read_bytes())
    more = tuple(MetricRow(name=name, candidate=ours, baseline=frozen) for name, ours, frozen in rows)
    verdict = example.model_copy(
        update={
            "approved": approved,
            "pushes": "candidate" if approved else "nothing",
            "sentence": f"The fine-tuned model {'may be pushed' if approved else 'is refused'}: a gain of +0.0410.",
            "metrics": (*example.metrics, *more),
            "num_test_examples": 270,
        }
    )
    infrastructure = configuration.infrastructure
    return RunOutcome(
        verdict=verdict,
        uris={"candidate model": str(infrastructure.root / "FineTuner/model/12")},
        pushed_to=str(infrastructure.push_destination / "17") if is_pushed else None,
        steps=local.step_names(configuration),
        refused_images={"truncated": 2, "empty": 1},
        num_examples={"train": {"circles": 700}, "eval": {"circles": 150}, "test": {"circles": 150}},
    )


if __name__ == "__main__":
    local.run_local = run_fake
    main()
