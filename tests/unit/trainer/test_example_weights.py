"""Weights of examples in training and in what it is judged by."""

from typing import Any

import numpy as np
import pytest
from tiny import fine_tune_phase, head_phase, settings

import trainer

pytestmark = pytest.mark.slow

Digits = tuple[np.ndarray, np.ndarray]


def train(train: Any, evaluated: Any, **changes: Any) -> Any:
    sgd = {"name": "sgd"}
    phases = (head_phase(epochs=2, optimizer=sgd), fine_tune_phase(epochs=2, optimizer=sgd))
    return trainer.fine_tune(train, evaluated, settings(phases=phases, **changes), verbose=False)


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_an_example_of_weight_three_trains_as_three_of_weight_one(digits: Digits, class_weights: str) -> None:
    """In one batch, so that the order of the examples is nothing."""
    pixels, labels = digits[0][:20], digits[1][:20]
    weights = np.ones(20)
    weights[:4] = 3
    repeated = np.concatenate([np.repeat(np.arange(4), 3), np.arange(4, 20)])
    evaluated = (digits[0][20:40], digits[1][20:40])
    loss = {"class_weights": class_weights}
    found = train((pixels, labels, weights), evaluated, batch_size_per_replica=20, loss=loss)
    expected = train((pixels[repeated], labels[repeated]), evaluated, batch_size_per_replica=28, loss=loss)
    plain = train((pixels, labels), evaluated, batch_size_per_replica=20, loss=loss)
    distances = [
        max(
            np.abs(one - other).max()
            for one, other in zip(run.model.get_weights(), expected.model.get_weights(), strict=True)
        )
        for run in (found, plain)
    ]
    assert distances[0] < min(1e-5, distances[1] / 20)
    for epoch, other in zip(found.history, expected.history, strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-5)
        assert epoch.train_accuracy == pytest.approx(other.train_accuracy)


def test_metrics_are_means_by_weight(digits: Digits) -> None:
    pixels, labels = digits[0][20:43], digits[1][20:43]
    weights = np.arange(23) % 5
    tuned = train((digits[0][:20], digits[1][:20]), (pixels, labels, weights))
    scores = tuned.model.predict(pixels, verbose=0)
    epoch = tuned.phases[-1].epochs[tuned.phases[-1].best_epoch - 1]
    assert epoch.eval_accuracy == pytest.approx(np.average(scores.argmax(axis=-1) == labels, weights=weights))
    log_losses = -np.log(scores[np.arange(23), labels])
    assert epoch.eval_log_loss == pytest.approx(np.average(log_losses, weights=weights), rel=1e-4)
