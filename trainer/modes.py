"""Which layers of the backbone follow the real `training` in a phase, and which variables a phase may move."""

from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Modes:
    """What `trainer.freezing.freeze` has decided for a phase; as it is by default, all runs in inference mode.

    A plain object, so that Keras does not take what it names for further layers of the model.

    Attributes:
        in_training: `id`s of the layers that are in training mode when the model is. All others are in inference mode.
        detached: `id`s of the backbone's operations that end the frozen part: no gradient goes below.
        batch_norms: the BatchNormalization layers above the freeze boundary.
        moving_statistics: paths of the variables that move without being trained.
    """

    in_training: frozenset[int] = frozenset()
    detached: frozenset[int] = frozenset()
    batch_norms: tuple[keras.layers.BatchNormalization, ...] = ()
    moving_statistics: frozenset[str] = frozenset()
