"""What trains in a phase: resolving the freeze boundary, and setting it on the model."""

import difflib
import math
from dataclasses import dataclass
from typing import Any

import keras

from trainer.classifier import Classifier
from trainer.errors import ConfigurationError
from trainer.settings import Boundary, PhaseSettings


@dataclass(frozen=True)
class TrainableSet:
    """What trains in a phase, resolved against a backbone.

    Attributes:
        first_layer: name of the first trainable layer of the backbone; None if it is wholly frozen.
        layers: names of the backbone's layers that train.
        variables: paths of all variables that train, those of the head included.
        num_trained_parameters: how many numbers that is.
        num_parameters: how many numbers the model has.
    """

    first_layer: str | None
    layers: tuple[str, ...]
    variables: tuple[str, ...]
    num_trained_parameters: int
    num_parameters: int


def freeze(model: Classifier, phase: PhaseSettings) -> TrainableSet:
    """Makes exactly the phase's part of the model trainable; the caller must compile afterwards.

    BatchNormalization stays frozen above the boundary too: its statistics and its gamma and beta are those of
    pretraining. Setting `trainable` on a model sets it on every layer inside, so the order matters: all, then each.

    Raises:
        ConfigurationError: the boundary names no layer, or nothing above it has weights to train.
    """
    layers = model.backbone.layers
    first = boundary_index(model.backbone, phase.unfreeze)
    model.trainable = True
    for index, layer in enumerate(layers):
        layer.trainable = index >= first and not _holds_batch_norm(layer)
    trained = [layer for layer in layers if layer.trainable_variables]
    if not phase.is_frozen and not trained:
        raise ConfigurationError(
            f"phase {phase.name!r}: nothing above the freeze boundary has weights to train (BatchNormalization stays "
            f"frozen); the last layers of {model.backbone.name} are {', '.join(layer.name for layer in layers[-5:])}: "
            "unfreeze more of them"
        )
    return TrainableSet(
        first_layer=layers[first].name if first < len(layers) else None,
        layers=tuple(layer.name for layer in trained),
        variables=tuple(variable.path for variable in model.trainable_variables),
        num_trained_parameters=_num_parameters(model.trainable_variables),
        num_parameters=_num_parameters(model.weights),
    )


def boundary_index(backbone: keras.Model, unfreeze: str | Boundary) -> int:
    """Index of the first trainable layer in `backbone.layers`; their number where all are frozen.

    Raises:
        ConfigurationError: a layer name that is not there, with the nearest names; more layers than there are.
    """
    names = [layer.name for layer in backbone.layers]
    if not isinstance(unfreeze, Boundary):
        return 0 if unfreeze == "all" else len(names)
    if unfreeze.layer is not None:
        return _index_of(unfreeze.layer, names, backbone.name)
    if unfreeze.fraction is not None:
        # Rounded first: 0.07 of 100 is a little more than 7 in floating point.
        return len(names) - math.ceil(round(unfreeze.fraction * len(names), 6))
    assert unfreeze.last_layers is not None
    if unfreeze.last_layers > len(names):
        raise ConfigurationError(
            f"unfreeze.last_layers is {unfreeze.last_layers}, but {backbone.name} has {len(names)} layers; "
            "use `unfreeze: all` for all of them"
        )
    return len(names) - unfreeze.last_layers


def _index_of(name: str, names: list[str], backbone: str) -> int:
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[-3:]
    raise ConfigurationError(f"unfreeze.layer: no layer {name!r} in {backbone}; nearest: {', '.join(near)}")


def _holds_batch_norm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _num_parameters(variables: list[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
