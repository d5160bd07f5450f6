"""What all phases of a training share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.activation_cache.store import Store
from trainer.classifier import Classifier
from trainer.datasets import Split
from trainer.phase_length import PhaseLength, length_of
from trainer.settings import ModelSettings, PhaseSettings


@dataclass(frozen=True)
class TrainingData:
    """What to train on and what to choose epochs by."""

    train: Split
    eval: Split
    num_classes: int


@dataclass(frozen=True)
class Setup:
    """What all phases of a training share.

    Attributes:
        settings: the plan.
        data: transformed examples.
        model: that is trained.
        strategy: on which devices.
        weights_of_classes: float32 [classes], or None.
        cache: for what frozen layers make of the images; None for none.
    """

    settings: ModelSettings
    data: TrainingData
    model: Classifier
    strategy: tf.distribute.Strategy
    weights_of_classes: np.ndarray[Any, Any] | None
    cache: Store | None = None

    @property
    def global_batch_size(self) -> int:
        """Examples per step, over all replicas."""
        return int(self.settings.batch_size_per_replica * self.strategy.num_replicas_in_sync)

    def length_of(self, phase: PhaseSettings) -> PhaseLength:
        """In steps of the global batch."""
        return length_of(phase, self.data.train.num_batches(self.global_batch_size))
