"""What trains in a phase: setting the freeze boundary, and what BatchNormalization does above it, on the model."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from trainer import layer_graph
from trainer.blocks import blocks_of
from trainer.boundaries import Resolved, batch_norms_in, boundary_index, operation_index, resolve
from trainer.classifier import Classifier
from trainer.errors import ConfigurationError
from trainer.modes import Modes
from trainer.phase_settings import BatchNormPolicy
from trainer.settings import PhaseSettings

__all__ = ["BatchNormSet", "Resolved", "TrainableSet", "boundary_index", "freeze", "resolve"]


@dataclass(frozen=True)
class BatchNormSet:
    """What becomes of the BatchNormalization layers above the freeze boundary in a phase.

    Attributes:
        policy: see `trainer.phase_settings.PhaseSettings.batch_norm`.
        num_layers: how many they are.
        affine_trains: whether their gamma and beta train.
        statistics: "stored" where those of before are used and kept; "batch" where those of the batch, of all replicas
            together, are used and the stored ones follow; "reestimated" where they are stored, and anew after training.
    """

    policy: BatchNormPolicy
    num_layers: int
    affine_trains: bool
    statistics: str


@dataclass(frozen=True)
class TrainableSet:
    """What trains in a phase, resolved against a backbone.

    Attributes:
        first_layer: name of the first unfrozen layer of the backbone; None if it is wholly frozen.
        layers: names of the backbone's layers that train.
        blocks: names of the backbone's blocks that they lie in.
        variables: paths of all variables that train, those of the head included.
        num_trained_parameters: how many numbers that is.
        num_parameters: how many numbers the model has.
        batch_norm: what the BatchNormalization layers above the boundary do.
    """

    first_layer: str | None
    layers: tuple[str, ...]
    blocks: tuple[str, ...]
    variables: tuple[str, ...]
    num_trained_parameters: int
    num_parameters: int
    batch_norm: BatchNormSet


def freeze(model: Classifier, phase: PhaseSettings) -> TrainableSet:
    """Makes exactly the phase's part of the model trainable; the caller must trace its functions anew afterwards.

    Raises:
        ConfigurationError: the boundary names no layer, or nothing above it has weights to train, or no
            BatchNormalization that a policy could be for.
    """
    resolved = resolve(model.backbone, phase.unfreeze)
    policy: BatchNormPolicy = "affine_only" if phase.unfreeze == "batch_norm" else phase.batch_norm
    norms = _batch_norms_above(model.backbone, resolved)
    _set_trainable(model, resolved, policy, affine_alone=phase.unfreeze == "batch_norm")
    _check_that_something_trains(model.backbone, phase)
    if policy != "frozen" and not norms:
        raise ConfigurationError(
            f"phase {phase.name!r}: batch_norm is {policy}, but no layer of {model.backbone.name} above the freeze "
            "boundary is a BatchNormalization; leave it out, or unfreeze more layers"
        )
    for norm in norms:  # each replica would have statistics of its own otherwise, and saving takes the first's
        norm.synchronized = policy == "adapt" and model.distribute_strategy.num_replicas_in_sync > 1
    model.modes = _modes(model.backbone, resolved, policy, norms)
    return _describe(model, resolved, policy, len(norms))


def _set_trainable(model: Classifier, resolved: Resolved, policy: BatchNormPolicy, affine_alone: bool) -> None:
    """Setting `trainable` on a model sets it on every layer inside, if it changes there: so each layer is set, too."""
    model.trainable = True
    for index, layer in enumerate(model.backbone.layers):
        layer.trainable = index in resolved.layers
        for leaf in layer_graph.leaves(layer) if index in resolved.layers else ():
            is_norm = isinstance(leaf, keras.layers.BatchNormalization)
            leaf.trainable = policy in ("affine_only", "adapt") if is_norm else not affine_alone


def _check_that_something_trains(backbone: keras.Model, phase: PhaseSettings) -> None:
    if phase.is_frozen or backbone.trainable_variables:
        return
    last = ", ".join(layer.name for layer in backbone.layers[-5:])
    if phase.unfreeze == "batch_norm":
        raise ConfigurationError(
            f"phase {phase.name!r}: `unfreeze: batch_norm`, but {backbone.name} has no BatchNormalization with gamma "
            "or beta; unfreeze a boundary or all"
        )
    raise ConfigurationError(
        f"phase {phase.name!r}: nothing above the freeze boundary has weights to train (BatchNormalization counts only "
        f"with `batch_norm: affine_only` or `adapt`); the last layers of {backbone.name} are {last}: unfreeze more"
    )


def _batch_norms_above(backbone: keras.Model, resolved: Resolved) -> tuple[keras.layers.BatchNormalization, ...]:
    return tuple(norm for index in sorted(resolved.layers) for norm in batch_norms_in(backbone.layers[index]))


def _modes(
    backbone: keras.Model,
    resolved: Resolved,
    policy: BatchNormPolicy,
    norms: tuple[keras.layers.BatchNormalization, ...],
) -> Modes:
    above = {id(leaf) for layer in backbone.layers[resolved.first :] for leaf in layer_graph.leaves(layer)}
    always_inference = {
        id(norm)
        for layer in backbone.layers
        for norm in batch_norms_in(layer)
        if policy != "adapt" or norm not in norms
    }
    moving = [norm.moving_mean for norm in norms] + [norm.moving_variance for norm in norms]
    return Modes(
        in_training=frozenset(above - always_inference),
        detached=_ends_of_frozen_part(backbone, resolved.first),
        batch_norms=norms,
        moving_statistics=frozenset(variable.path for variable in moving) if policy == "adapt" else frozenset(),
    )


def _ends_of_frozen_part(backbone: keras.Model, first: int) -> frozenset[int]:
    """`id`s of the operations below the boundary whose outputs are needed above it."""
    position = operation_index(backbone, first)
    return frozenset(id(backbone.operations[below]) for below in layer_graph.crossing(backbone)[position])


def _describe(model: Classifier, resolved: Resolved, policy: BatchNormPolicy, num_batch_norms: int) -> TrainableSet:
    layers = model.backbone.layers
    trained = [index for index, layer in enumerate(layers) if layer.trainable_variables]
    blocks = blocks_of(model.backbone)
    return TrainableSet(
        first_layer=layers[resolved.first].name if resolved.first < len(layers) else None,
        layers=tuple(layers[index].name for index in trained),
        blocks=tuple(block.name for block in blocks if any(block.first <= index <= block.last for index in trained)),
        variables=tuple(variable.path for variable in model.trainable_variables),
        num_trained_parameters=_num_parameters(model.trainable_variables),
        num_parameters=_num_parameters(model.weights),
        batch_norm=BatchNormSet(
            policy=policy,
            num_layers=num_batch_norms,
            affine_trains=policy in ("affine_only", "adapt"),
            statistics={"adapt": "batch", "recalibrate": "reestimated"}.get(policy, "stored"),
        ),
    )


def _num_parameters(variables: list[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
