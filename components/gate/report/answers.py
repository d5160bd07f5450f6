"""The predictions of all models in the same classes: who named what."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.gate.predictions import ModelName, ModelPredictions, Predictions

NO_ANSWER = -1
"""In the place of a class, where a model's scores are not numbers."""


@dataclass(frozen=True)
class Answers:
    """What the models say of the test examples.

    Attributes:
        labels: every class of the examples and of the models; the candidate's come first, in the order of its scores.
        truth: int64 [examples].
        named: int64 [examples] by model: the most probable class, or `NO_ANSWER`.
        confidence: float64 [examples] by model: its probability; NaN without an answer.
        of_truth: float64 [examples] by model: probability of the true class; 0 where the model does not know it.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    named: Mapping[ModelName, NDArray[np.int64]]
    confidence: Mapping[ModelName, NDArray[np.float64]]
    of_truth: Mapping[ModelName, NDArray[np.float64]]

    def is_right(self, model: ModelName) -> NDArray[np.bool_]:
        """Whether a model names the true class: bool [examples]."""
        return self.named[model] == self.truth


def answers_of(predictions: Predictions) -> Answers:
    """Reads off the most probable classes."""
    models = predictions.models
    of_models = (label for model in models.values() for label in model.labels)
    labels = tuple(dict.fromkeys((*models["candidate"].labels, *of_models, *sorted(set(predictions.examples.labels)))))
    index = {label: position for position, label in enumerate(labels)}
    truth = np.array([index[label] for label in predictions.examples.labels], np.int64)
    read = {name: _read(model, index, truth) for name, model in models.items()}
    return Answers(
        labels,
        truth,
        named={name: parts[0] for name, parts in read.items()},
        confidence={name: parts[1] for name, parts in read.items()},
        of_truth={name: parts[2] for name, parts in read.items()},
    )


def _read(
    model: ModelPredictions, index: Mapping[str, int], truth: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    scores = np.asarray(model.scores, np.float64)
    is_answer = np.isfinite(scores).all(axis=1)
    place = np.array([index[label] for label in model.labels], np.int64)
    column = np.full(len(index), -1)
    column[place] = np.arange(len(place))
    named = np.where(is_answer, place[np.nan_to_num(scores).argmax(axis=1)], NO_ANSWER)
    confidence = np.where(is_answer, np.nan_to_num(scores).max(axis=1), np.nan)
    of_truth = np.where(column[truth] >= 0, scores[np.arange(len(truth)), column[truth]], 0.0)
    return named, confidence, np.nan_to_num(of_truth)
