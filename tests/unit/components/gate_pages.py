"""Contents of reports whose truth is known: real verdicts of made-up predictions, real pictures."""

import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.gate.judge import judge
from components.gate.predictions import ModelName, ModelPredictions, Predictions, TestExamples, write_predictions
from components.gate.report.content import ArtifactFacts, Lineage, ReportContent, RunFacts, StepFacts
from components.gate.report.galleries import read_galleries, write_galleries
from components.gate.settings import GateSettings, SubsetSettings
from components.gate.verdict_schema import Approval
from tests.unit.components.gate_material import evidence_of, predictions_of, right, scores_of

EVIL = "<script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">"
UNICODE = "Äpfel 苹果 🍎 عربى"
SETTINGS = GateSettings(
    floors={"accuracy": 0.6},
    num_resamples=200,
    classes=SubsetSettings(margin=0.3, min_examples=10),
    production_margins={"accuracy": 0.1},
)


def picture_of(position: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A photograph that is like no other, with EXIF data and a comment that are nobody's business."""
    noise = np.random.default_rng(position).integers(0, 256, (size[1] // 8, size[0] // 8, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010E] = "SECRET PLACE"
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size).save(buffer, "JPEG", exif=exif, comment="SECRET COMMENT")
    return buffer.getvalue()


def read_pictures(positions: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    for position in positions:
        yield position, picture_of(position)


def three_classes(
    candidate: float, baseline: float, production: float | None = None, num_examples: int = 300, **changes: Any
) -> Predictions:
    """Models that are right on these shares of the examples."""
    truth = np.arange(num_examples) % 3
    shares: dict[ModelName, float] = {"candidate": candidate, "baseline": baseline}
    if production is not None:
        shares["production"] = production
    scores = {
        name: scores_of(truth, right(num_examples, share, seed), confidence=0.6 + 0.1 * seed)
        for seed, (name, share) in enumerate(shares.items())
    }
    return predictions_of(truth.tolist(), scores, **changes)


def many_classes(num_classes: int) -> Predictions:
    """A hundred classes, say, of which a few are confused with their neighbours."""
    labels = tuple(f"species number {number:03d} with a long name" for number in range(num_classes))
    truth = np.repeat(np.arange(num_classes), 6)
    is_right = np.ones(len(truth), bool)
    is_right[np.isin(truth, [3, 40, 41, 77])] = False
    models: dict[ModelName, ModelPredictions] = {
        "candidate": ModelPredictions(labels, scores_of(truth, is_right, num_classes)),
        "baseline": ModelPredictions(labels, scores_of(truth, right(len(truth), 0.7, 1), num_classes)),
    }
    names = [labels[index] for index in truth]
    paths = [f"{name}/{number}.jpg" for number, name in enumerate(names)]
    return Predictions(TestExamples(names, paths, [f"{number:x}" for number in range(len(names))]), models)


def renamed(predictions: Predictions, names: dict[str, str]) -> Predictions:
    """The same with other names for classes, and for the photographs within them."""
    examples = predictions.examples
    labels = [names.get(label, label) for label in examples.labels]
    paths = [f"{label}/{number}.jpg" for number, label in enumerate(labels)]
    models = {
        name: ModelPredictions(tuple(names.get(label, label) for label in model.labels), model.scores)
        for name, model in predictions.models.items()
    }
    return Predictions(dataclasses.replace(examples, labels=labels, paths=paths), models)


def content_of(
    predictions: Predictions, folder: Path, settings: GateSettings = SETTINGS, **changes: Any
) -> ReportContent:
    """The content of a report, with everything in it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions, folder)
    write_galleries(predictions, read_pictures, folder)
    parts = {
        "verdict": judge(evidence_of(predictions, settings), settings),
        "title": "shapes",
        "predictions": predictions,
        "galleries": read_galleries(folder),
        "training": training(),
        "data": data(sorted(set(predictions.examples.labels))),
        "lineage": lineage(),
    }
    return ReportContent(**{**parts, **changes})


def approval(why: str = "the old camera is gone") -> Approval:
    when = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
    return Approval(who="night shift", when=when, why=why, pushed_to="/serving/shapes/7")


def lineage(**changes: Any) -> Lineage:
    run = RunFacts(
        run_id="2026-11-22T15-04-05",
        status="refused",
        started_at="2026-11-22 15:04 UTC",
        took="42 s",
        command="thaw run /runs/2026-11-22T15-04-05/config.yaml",
        given_as="thaw run shapes.yaml --set model.seed=1",
        configuration="name: shapes\nmodel:\n  seed: 1\n",
        configuration_sha256="c0ffee",
        steps=[StepFacts("Gate", "done", "4.0 s")],
    )
    artifacts = [ArtifactFacts("candidate model", 12, "/artifacts/FineTuner/model/6")]
    return Lineage(artifacts, {"Gate": "abcdef0123"}, dataclasses.replace(run, **changes))


def data(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "num_files": 1003,
        "num_accepted": 1000,
        "num_refused_by_reason": {"truncated": 2, "not an image": 1},
        "num_by_split": {"train": dict.fromkeys(labels, 200), "eval": {}, "test": dict.fromkeys(labels, 100)},
        "num_by_format": {"jpeg": 1000},
        "num_duplicate_pairs": {"equal": 4, "near": 0},
        "spans": ["2026-11-21", "2026-11-22"],
        "warnings": ["class circles has few photographs"],
    }


def training(num_epochs: tuple[int, ...] = (6, 4), **changes: Any) -> dict[str, Any]:
    """A training record of two phases, in the form that `trainer.record` writes."""
    phases = [phase(name, count) for name, count in zip(("head", "fine_tune"), num_epochs, strict=False)]
    settings = {
        "backbone": "MobileNetV2",
        "weights": "/somewhere/imagenet.h5",
        "weights_sha256": "feed",
        "image_size_px": 160,
        "batch_size_per_replica": 32,
        "seed": 0,
        "phases": [
            {"name": item["name"], "schedule": "constant", "optimizer": {"name": "adam"}, "block_decay": 1.0}
            for item in phases
        ],
    }
    content = {"settings": settings, "devices": "1 replica: CPU:0", "labels": [], "baseline": "head", "phases": phases}
    return json.loads(json.dumps({**content, **changes}))


def phase(name: str, num_epochs: int) -> dict[str, Any]:
    is_head = name == "head"
    return {
        "name": name,
        "learning_rate": 0.01,
        "trainable": {
            "layers": [] if is_head else ["a", "b"],
            "blocks": [] if is_head else ["block2"],
            "num_trained_parameters": 300 if is_head else 9000,
            "num_parameters": 10000,
            "batch_norm": {"policy": "frozen"},
        },
        "freeze_contract": {"num_frozen_variables": 20, "changed": ["head/kernel"]},
        "best_epoch": num_epochs,
        "warning": None,
        "epochs": [
            {
                "train_loss": 1 / number,
                "train_accuracy": 1 - 0.5 / number,
                "eval_log_loss": 1.1 / number,
                "eval_accuracy": 1 - 0.6 / number,
                "learning_rates": {"head": 0.01},
            }
            for number in range(1, num_epochs + 1)
        ],
    }
