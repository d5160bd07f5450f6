"""Settings that train on the digits in seconds, and a look at a model's weights."""

from typing import Any

import numpy as np

from trainer.classifier import Classifier
from trainer.settings import Boundary, ModelSettings, PhaseSettings

IMAGE_SIZE_PX = 8

Weights = dict[str, np.ndarray]


def head_phase(**changes: Any) -> PhaseSettings:
    return PhaseSettings(**{"name": "head", "epochs": 1, "learning_rate": 0.02, **changes})


def fine_tune_phase(**changes: Any) -> PhaseSettings:
    boundary = Boundary(layer="block4_conv")
    return PhaseSettings(**{"name": "fine_tune", "unfreeze": boundary, "epochs": 1, "learning_rate": 0.005, **changes})


def settings(**changes: Any) -> ModelSettings:
    """A head phase, then one that unfreezes the last block; without Dropout, which draws per replica."""
    values: dict[str, Any] = {
        "backbone": "small_cnn",
        "weights": "none",
        "image_size_px": IMAGE_SIZE_PX,
        "dropout_rate": 0.0,
        "batch_size_per_replica": 16,
        "seed": 3,
        "phases": (head_phase(), fine_tune_phase()),
    }
    return ModelSettings(**{**values, **changes})


def weights_of(model: Classifier) -> Weights:
    """A copy of every variable of the model by its path, BatchNormalization's statistics included."""
    return {variable.path: np.array(variable) for variable in model.weights}


def changed(before: Weights, after: Weights) -> set[str]:
    assert before.keys() == after.keys()
    return {path for path in before if not np.array_equal(before[path], after[path])}
