"""What each model says of each test example: computed once, kept with the verdict, shared by everything after it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainer.errors import ThawError

FOLDER = "predictions"
_EXAMPLES_FILE = "examples.json"

ModelName = Literal["candidate", "baseline", "production"]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class TestExamples:
    """The examples of the test split, in the order of the records.

    Attributes:
        labels: the true class of each.
        paths: the photograph of each, as ingestion names it.
        content_sha256: digest of the photograph.
        features: further features, such as "camera", with a text for each example.
        weights: how much each example counts; None where all count alike.
    """

    labels: Sequence[str]
    paths: Sequence[str]
    content_sha256: Sequence[str]
    features: Mapping[str, Sequence[str]] = field(default_factory=dict)
    weights: Sequence[float] | None = None

    __test__ = False  # pytest: not a test


@dataclass(frozen=True)
class ModelPredictions:
    """What one model says.

    Attributes:
        labels: its classes, in the order of its scores.
        scores: float32 [examples, classes].
    """

    labels: tuple[str, ...]
    scores: Scores


@dataclass(frozen=True)
class Predictions:
    """What all models say of the same examples.

    Attributes:
        examples: the test split.
        models: by name; "production" is missing where there is none.
    """

    examples: TestExamples
    models: Mapping[ModelName, ModelPredictions]


def write_predictions(predictions: Predictions, folder: str | Path) -> None:
    """Writes `predictions/` into `folder`: a `.npy` file for each model, and the examples as JSON."""
    target = Path(folder) / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name, model in predictions.models.items():
        np.save(target / f"{name}.npy", model.scores, allow_pickle=False)
    examples = predictions.examples
    content = {
        "labels": list(examples.labels),
        "paths": list(examples.paths),
        "content_sha256": list(examples.content_sha256),
        "features": {name: list(values) for name, values in examples.features.items()},
        "weights": None if examples.weights is None else list(examples.weights),
        "model_labels": {name: list(model.labels) for name, model in predictions.models.items()},
    }
    # json escapes what is not ASCII, and with it bytes of file names that are not UTF-8.
    (target / _EXAMPLES_FILE).write_text(json.dumps(content) + "\n", encoding="ascii")


def read_predictions(folder: str | Path) -> Predictions:
    """Reads the predictions beside a verdict; scores stay on disk until they are looked at.

    Args:
        folder: of the verdict artifact.

    Raises:
        ThawError: there are none.
    """
    source = Path(folder) / FOLDER
    try:
        content = json.loads((source / _EXAMPLES_FILE).read_text("ascii"))
        models: dict[ModelName, ModelPredictions] = {
            name: ModelPredictions(tuple(labels), np.load(source / f"{name}.npy", mmap_mode="r", allow_pickle=False))
            for name, labels in content["model_labels"].items()
        }
    except (OSError, ValueError, KeyError) as error:
        raise ThawError(
            f"the predictions in {str(source)!r} cannot be read ({error}); run the pipeline again"
        ) from None
    examples = TestExamples(
        content["labels"],
        content["paths"],
        content["content_sha256"],
        content["features"],
        content.get("weights"),  # an older thaw wrote none
    )
    return Predictions(examples, models)
