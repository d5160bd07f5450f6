"""What all phases of a training share, and how it comes about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import compute, datasets, freezing, losses, rate_groups, replicas
from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.classifier import Classifier, build_classifier
from trainer.datasets import Split
from trainer.errors import ConfigurationError
from trainer.phase_length import PhaseLength, length_of
from trainer.settings import ModelSettings, PhaseSettings
from trainer.stages import stages_of
from trainer.warm_start.carrying_over import carry_over, without_pretrained
from trainer.warm_start.origin import WarmStart
from trainer.workers import Workers


@dataclass(frozen=True)
class TrainingData:
    """What to train on and what to choose epochs by.

    Attributes:
        train: the examples to train on.
        eval: those to choose epochs by.
        num_classes: that there are.
        labels: their names, for pictures only; numbers where there are none.
        warm_start: the model to begin with; None for the pretrained weights.
    """

    train: Split
    eval: Split
    num_classes: int
    labels: tuple[str, ...] = ()
    warm_start: WarmStart | None = None


@dataclass(frozen=True)
class Setup:
    """What all phases of a training share.

    Attributes:
        settings: the plan.
        data: transformed examples.
        model: that is trained.
        strategy: on which devices.
        weights_of_classes: float32 [classes], or None.
        cache: for what frozen layers make of the images.
        notes_norms: whether phases note how large gradients and updates are.
    """

    settings: ModelSettings
    data: TrainingData
    model: Classifier
    strategy: tf.distribute.Strategy
    weights_of_classes: np.ndarray[Any, Any] | None
    cache: Store | NoStore = NO_STORE
    notes_norms: bool = False

    @property
    def workers(self) -> Workers:
        """The processes that train together."""
        return Workers(self.strategy)

    @property
    def global_batch_size(self) -> int:
        """Examples per step, over all replicas."""
        return int(self.settings.batch_size_per_replica * self.strategy.num_replicas_in_sync)

    def length_of(self, phase: PhaseSettings) -> PhaseLength:
        """In steps of the global batch."""
        return length_of(phase, self.data.train.num_batches(self.global_batch_size))


def set_up(
    settings: ModelSettings, data: TrainingData, strategy: tf.distribute.Strategy, cache: Store | NoStore = NO_STORE
) -> Setup:
    """Builds the model, and checks what can be checked of the plan before anything trains.

    Raises:
        ConfigurationError, WeightsError: see `trainer.training.fine_tune`.
    """
    if settings.warm_start_path is not None and data.warm_start is None:
        raise ConfigurationError(
            f"model.warm_start is {settings.warm_start!r}, but TrainingData has no warm_start; "
            "`trainer.warm_start.origin.open_warm_start` makes it"
        )
    settings = compute.resolve(settings, strategy)
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = build_classifier(
            settings if data.warm_start is None else without_pretrained(settings), data.num_classes
        )
    if data.warm_start is not None:
        carry_over(data.warm_start, model, settings)
    first_replica = Workers(strategy).first_replica
    shift_random_states(model, lambda replica: first_replica + replica)
    for stage in stages_of(settings):  # a name that matches no layer is an error before the first epoch, not after it
        freezing.freeze(model, stage.phase)
        rate_groups.groups_of(model, stage.phase)
    kind = settings.loss.class_weights
    counts = datasets.label_counts(data.train, data.num_classes) if kind != "none" else []
    weights_of_classes = losses.class_weights(kind, counts) if counts else None
    return Setup(settings, data, model, strategy, weights_of_classes, cache)


def shift_random_states(model: Classifier, distance: Callable[[int], int]) -> None:
    """Gives each replica random numbers of its own: Keras starts all with one seed, so with the same Dropout masks.

    Args:
        model: whose generators' seeds are moved.
        distance: by how much, from the replica's number within this process.
    """
    for variable in model.variables:
        if variable.path.endswith("seed_generator_state"):
            for replica, component in enumerate(replicas.components(variable)):
                component.assign_add(tf.constant([distance(replica), 0], component.dtype))
