"""Earlier weights for a new model: those of the backbone, and of the head those of the classes that are kept."""

from typing import Any

import numpy as np

from trainer.classifier import Classifier, build_classifier
from trainer.compute_settings import ComputeSettings
from trainer.errors import WeightsError
from trainer.replicas import components
from trainer.settings import ModelSettings
from trainer.warm_start import FOLDER
from trainer.warm_start.card import REMEDY, WEIGHTS_FILE
from trainer.warm_start.origin import WarmStart


def without_pretrained(settings: ModelSettings) -> ModelSettings:
    """To build a model whose weights all come from elsewhere: nothing is read or downloaded for it."""
    return settings.model_copy(update={"weights": "none", "weights_sha256": None})


def carry_over(warm_start: WarmStart, model: Classifier, settings: ModelSettings) -> None:
    """Gives a model that is just built the earlier weights.

    Args:
        warm_start: where they are, and which columns of the head belong to which class.
        model: its variables, on each replica, are set; columns of new classes and random generators stay as they are.
        settings: that it was built by.

    Raises:
        WeightsError: the file does not hold the weights of such a model.
    """
    earlier = _earlier_model(warm_start, settings)
    for source, target in zip(earlier.backbone.weights, model.backbone.weights, strict=True):
        _assign(target, np.asarray(source))
    columns = {label: column for column, label in enumerate(warm_start.card.labels)}
    kernel, bias = np.array(model.head.kernel), np.array(model.head.bias)
    for column, label in enumerate(warm_start.labels):
        if label in columns:
            kernel[:, column] = np.asarray(earlier.head.kernel)[:, columns[label]]
            bias[column] = np.asarray(earlier.head.bias)[columns[label]]
    _assign(model.head.kernel, kernel)
    _assign(model.head.bias, bias)


def _earlier_model(warm_start: WarmStart, settings: ModelSettings) -> Classifier:
    plain = without_pretrained(settings).model_copy(update={"compute": ComputeSettings()})
    earlier = build_classifier(plain, len(warm_start.card.labels))
    path = warm_start.folder / FOLDER / WEIGHTS_FILE
    try:
        earlier.load_weights(path)  # HDF5: numbers alone, nothing that is executed
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"model.warm_start: {str(path)!r} does not hold the weights of a {settings.backbone} with "
            f"{len(warm_start.card.labels)} classes ({str(error).strip().splitlines()[0][:200]}); {REMEDY}"
        ) from error
    return earlier


def _assign(variable: Any, value: np.ndarray[Any, Any]) -> None:
    for component in components(variable):
        component.assign(value)
