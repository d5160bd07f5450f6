"""Made-up predictions whose truth is known, and evidence made of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.gate.comparison import compare
from components.gate.evidence import Evaluation, Evidence
from components.gate.predictions import ModelName, ModelPredictions, Predictions, TestExamples
from components.gate.settings import GateSettings
from components.gate.smoke_test import SmokeTest
from components.gate.verdict_schema import Latency, ModelFacts

LABELS = ("circles", "crosses", "sq uäres")


def scores_of(truth: np.ndarray, is_right: np.ndarray, num_classes: int = 3, confidence: float = 0.9) -> np.ndarray:
    """Scores that name the true class where they should, and the next one elsewhere: float32 [examples, classes]."""
    named = np.where(is_right, truth, (truth + 1) % num_classes)
    scores = np.full((len(truth), num_classes), (1 - confidence) / (num_classes - 1), np.float32)
    scores[np.arange(len(truth)), named] = confidence
    return scores


def right(num_examples: int, share: float, seed: int) -> np.ndarray:
    """A given share of the examples, drawn at random."""
    chosen = np.random.default_rng(seed).permutation(num_examples)[: round(share * num_examples)]
    is_right = np.zeros(num_examples, bool)
    is_right[chosen] = True
    return is_right


def predictions_of(
    truth: Sequence[int],
    scores: Mapping[ModelName, np.ndarray],
    labels: Mapping[ModelName, tuple[str, ...]] | None = None,
    features: Mapping[str, Sequence[str]] | None = None,
    truth_labels: tuple[str, ...] = LABELS,
    weights: np.ndarray | None = None,
) -> Predictions:
    names = [truth_labels[index] for index in truth]
    paths = [f"{label}/{number}.png" for number, label in enumerate(names)]
    digests = [f"{number:x}" for number in range(len(names))]
    counted = None if weights is None else weights.tolist()
    examples = TestExamples(names, paths, digests, features or {}, counted)
    models = {name: ModelPredictions((labels or {}).get(name, LABELS), rows) for name, rows in scores.items()}
    return Predictions(examples, models)


def evidence_of(predictions: Predictions, settings: GateSettings, **changes: Any) -> Evidence:
    """Evidence in which everything but the predictions is as it should be, save for `changes`."""
    against_baseline = compare(predictions, "candidate", "baseline", settings)
    metrics = {
        name: {metric: against_baseline.value(metric, side) for metric in ("accuracy", "log_loss")}
        for side, name in enumerate(("candidate", "baseline"))
    }
    has_production = "production" in predictions.models
    parts = {
        "predictions": predictions,
        "against_baseline": against_baseline,
        "against_production": compare(predictions, "candidate", "production", settings) if has_production else None,
        "production_failure": "",
        "evaluation": Evaluation(True, metrics),  # type: ignore[arg-type]
        "smoke_test": smoke(),
        "models": {name: facts(name) for name in predictions.models},
    }
    return Evidence(**{**parts, **changes})


def smoke(**changes: Any) -> SmokeTest:
    latency = (
        Latency(batch_size=1, p50_ms=10.0, p95_ms=12.0, num_requests=50),
        Latency(batch_size=32, p50_ms=100.0, p95_ms=120.0, num_requests=10),
    )
    parts = {"num_images": 6, "num_classes": 3, "largest_difference": 1e-7, "num_parameters": 1000, "latency": latency}
    return SmokeTest(**{**parts, **changes})


def facts(name: str) -> ModelFacts:
    found = smoke()
    return ModelFacts(
        uri=f"/models/{name}",
        sha256=name,
        labels=LABELS,
        size_mib=10.0,
        num_parameters=found.num_parameters,
        latency=found.latency,
    )
