"""What `thaw show` says of the training."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.cli.training_table import print_training
from pipeline.run_record import TRAINING_RECORD, RunRecord


def phase(name: str, blocks: list[str], **changes: Any) -> dict[str, Any]:
    trainable = {
        "blocks": blocks,
        "layers": [f"{block}_conv" for block in blocks],
        "batch_norm": {"policy": "frozen"},
        "num_trained_parameters": 1234,
        "num_parameters": 5678,
    }
    epochs = [{"eval_log_loss": loss, "eval_accuracy": 1 - loss} for loss in (0.5, 0.25, 0.75)]
    return {"name": name, "trainable": trainable, "best_epoch": 2, "epochs": epochs, "warning": None, **changes}


def printed(folder: Path | None) -> str:
    uris = {TRAINING_RECORD: str(folder)} if folder else {}
    record = RunRecord.model_construct(run_id="1", name="digits", status="pushed", uris=uris)
    console = Console(file=io.StringIO(), width=140)
    print_training(console, record)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_each_phase_is_a_line_with_what_trained_and_how_well_it_ended(tmp_path: Path) -> None:
    phases = [phase("head", []), phase("fine_tune", ["block3", "block4"], warning="it diverged")]
    (tmp_path / "training.json").write_text(json.dumps({"phases": phases, "baseline": "head"}))
    lines = printed(tmp_path).splitlines()
    (head,) = [line for line in lines if line.startswith("head")]
    (tuned,) = [line for line in lines if line.startswith("fine_tune")]
    assert head.split()[1:] == ["the", "head", "frozen", "1,234", "of", "5,678", "3", "2", "0.2500", "0.7500"]
    assert "the head, and 2 layers in block3 to block4" in tuned
    assert "the frozen baseline is the model at the end of head" in lines
    assert "! it diverged" in lines[-1]


def test_whether_a_phase_read_from_the_cache_is_said_with_the_reason(tmp_path: Path) -> None:
    phases = [
        phase("head", [], cache={"is_used": True, "why": "saves about 9.1 s of 10.0 s"}),
        phase("fine_tune", ["block3"], cache={"is_used": False, "why": "it is off"}),
    ]
    (tmp_path / "training.json").write_text(json.dumps({"phases": phases}))
    lines = printed(tmp_path).splitlines()
    assert "head with the cache: saves about 9.1 s of 10.0 s" in lines
    assert "fine_tune without the cache: it is off" in lines


@pytest.mark.parametrize("content", [None, "{", '{"phases": [{"trainable": {}}]}'])
def test_a_run_without_a_readable_training_record_is_shown_without_it(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "training.json").write_text(content)
    assert printed(tmp_path) == ""
    assert printed(None) == ""


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ({"model": None}, ["nothing to begin with has been pushed yet, so training began with weights: imagenet"]),
        (
            {
                "model": "/served/7",
                "image_size_px": 160,
                "kept": [f"class {number}" for number in range(12)],
                "new": ["\udce9tage"],
                "dropped": [],
            },
            [
                "training began with the model in /served/7, which was trained at 160 px, not 224",
                "  classes kept: 12 (class 0, class 1, class 2, class 3, class 4, class 5, class 6, class 7, class 8, "
                "class 9 and 2 more in training.json)",
                "  classes new: 1 (\\xe9tage)",
                "  classes dropped: none",
            ],
        ),
    ],
    ids=["nothing pushed yet", "another size and class"],
)
def test_what_training_began_with_is_told_with_what_became_of_the_classes(
    found: dict[str, Any], lines: list[str], tmp_path: Path
) -> None:
    settings = {"weights": "imagenet", "image_size_px": 224}
    content = {"phases": [phase("head", [])], "settings": settings, "warm_start": found}
    (tmp_path / "training.json").write_text(json.dumps(content))
    assert printed(tmp_path).splitlines()[-len(lines) :] == lines
