"""Whole fine-tunings of the small CNN, and what they leave behind."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tiny import Weights, weights_of

from trainer import progress, training_setup
from trainer.classifier import Classifier
from trainer.devices import make_strategy
from trainer.settings import ModelSettings
from trainer.training import PhaseRecord, TrainingData, fine_tune

HEAD = ("classifier/head/kernel", "classifier/head/bias")

Digits = tuple[np.ndarray, np.ndarray]


@dataclass
class Run:
    """What one fine-tuning left behind."""

    model: Classifier
    phases: tuple[PhaseRecord, ...]
    at_start: Weights
    at_baseline: list[Weights]
    at_end: Weights
    notes: list[str] = field(default_factory=list)


def train(plan: ModelSettings, data: TrainingData, num_replicas: int = 1, log_dir: Path | None = None) -> Run:
    at_start: list[Weights] = []
    at_baseline: list[Weights] = []
    reports: list[progress.Progress] = []

    def build(*arguments: object) -> Classifier:
        model = original(*arguments)
        at_start.append(weights_of(model))
        return model

    original = training_setup.build_classifier
    with pytest.MonkeyPatch.context() as patch, progress.listening(reports.append):
        patch.setattr(training_setup, "build_classifier", build)
        model, phases = fine_tune(
            plan,
            data,
            make_strategy(num_replicas),
            on_baseline=lambda model: at_baseline.append(weights_of(model)),
            log_dir=log_dir,
        )
    notes = [f"{report.done}/{report.total} {report.unit}: {report.note}" for report in reports]
    return Run(model, phases, at_start[0], at_baseline, weights_of(model), notes)


def score(model: Classifier, weights: Weights, digits: Digits) -> tuple[float, float]:
    """Mean log loss in nats and accuracy, with plain numpy from the backbone's features."""
    for variable in model.weights:
        variable.assign(weights[variable.path])
    pixels, labels = digits
    features = model.backbone(pixels / np.float32(255), training=False).numpy().mean(axis=(1, 2))
    kernel, bias = (weights[path].astype(float) for path in HEAD)
    logits = features @ kernel + bias
    losses = np.log(np.exp(logits - logits[np.arange(len(labels)), labels][:, None]).sum(axis=-1))
    return float(np.mean(losses)), float(np.mean(logits.argmax(axis=-1) == labels))
