"""How large gradients and updates are, block by block: where a phase learns, and how fast."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.blocks import blocks_of
from trainer.classifier import Classifier
from trainer.phase_settings import PhaseSettings
from trainer.replicas import components, local_variable

# Of a long epoch, only some steps are looked at: gradients must be added up over the replicas once more for it.
STEPS_BETWEEN = 50


def is_due(step: int, last_of_epoch: int) -> bool:
    """Whether a step, counted from 1, is one of those that are looked at; each epoch has its last one."""
    return step % STEPS_BETWEEN == 0 or step == last_of_epoch


class Norms:
    """Means over the steps of an epoch that are looked at, of each block that trains.

    A gradient is that of the global batch, added up over all replicas and without a loss scale, before it is clipped.
    An update is what a step changed of the weights: clipping, moments, rate and weight decay are in it. All replicas
    come to the same numbers. They are variables, so that a checkpoint in the middle of an epoch holds them.
    """

    def __init__(self, trained: Sequence[Any], blocks: Sequence[str], clip_norm: float | None) -> None:
        """To be made in the strategy's scope.

        Args:
            trained: the variables that gradients and updates are of.
            blocks: the name of the block of each.
            clip_norm: of the phase's optimizer.
        """
        self._trained, self._clip_norm = list(trained), clip_norm
        self._names = list(dict.fromkeys(blocks))
        self._members = [[index for index, block in enumerate(blocks) if block == name] for name in self._names]
        size = len(self._names) + 1
        self._gradients = local_variable(np.zeros(size), "gradient_norms")
        self._updates = local_variable(np.zeros(size), "update_norms")
        self._clip_factors = local_variable(np.float64(0), "clip_factors")
        self._num_steps = local_variable(np.int64(0), "num_steps_with_norms")

    @property
    def variables(self) -> list[tf.Variable]:
        """Their state."""
        return [self._gradients, self._updates, self._clip_factors, self._num_steps]

    def note_gradients(self, gradients: Sequence[tf.Tensor | None]) -> None:
        """To be called on each replica, with its share of each gradient."""
        context = tf.distribute.get_replica_context()
        present = [gradient for gradient in gradients if gradient is not None]
        summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
        norms = self._norms([tf.zeros([]) if gradient is None else next(summed) for gradient in gradients])
        self._gradients.assign_add(norms)
        if self._clip_norm is not None:
            self._clip_factors.assign_add(tf.minimum(tf.constant(1.0, tf.float64), self._clip_norm / norms[-1]))
        self._num_steps.assign_add(1)

    def weights(self) -> list[tf.Tensor]:
        """What the variables hold, for `note_update`; on each replica."""
        return [tf.identity(tf.convert_to_tensor(variable)) for variable in self._trained]

    def note_update(self, before: Sequence[tf.Tensor]) -> None:
        """To be called on each replica after a step, with the `weights` from before it."""
        now = [tf.convert_to_tensor(variable) for variable in self._trained]
        self._updates.assign_add(self._norms([new - old for new, old in zip(now, before, strict=True)]))

    def summary(self) -> dict[str, float]:
        """The means so far by what they are of, such as "gradient_norm/head"; none where no step was looked at."""
        num_steps = int(components(self._num_steps)[0])
        if not num_steps:
            return {}
        gradients, updates, clip_factor = (
            np.array(components(variable)[0]) / num_steps
            for variable in (self._gradients, self._updates, self._clip_factors)
        )
        clipping = {} if self._clip_norm is None else {"clip_factor": float(clip_factor)}
        return {**self._named("gradient", gradients), **self._named("update", updates), **clipping}

    def reset(self) -> None:
        """Forgets everything."""
        for variable in self.variables:
            for component in components(variable):
                component.assign(tf.zeros_like(component))

    def _norms(self, tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Of each block, and of all together: float64 [blocks + 1]."""
        squares = [tf.cast(tf.reduce_sum(tf.square(tf.cast(tensor, tf.float32))), tf.float64) for tensor in tensors]
        of_blocks = [tf.add_n([squares[index] for index in members]) for members in self._members]
        return tf.sqrt(tf.stack([*of_blocks, tf.add_n(of_blocks)]))

    def _named(self, what: str, values: np.ndarray[Any, Any]) -> dict[str, float]:
        blocks = {f"{what}_norm/{name}": float(value) for name, value in zip(self._names, values, strict=False)}
        return {f"global_{what}_norm": float(values[-1]), **blocks}


def build(model: Classifier, trained: Sequence[Any], phase: PhaseSettings) -> Norms:
    """Of the variables that a phase trains; to be called in the strategy's scope."""
    return Norms(trained, blocks_of_variables(model, trained), phase.optimizer.clip_norm)


def blocks_of_variables(model: Classifier, variables: Sequence[Any]) -> list[str]:
    """The name of the block that each variable lies in, or that of the head."""
    layers = model.backbone.layers
    names = {
        id(variable): block.name
        for block in blocks_of(model.backbone)
        for layer in layers[block.first : block.last + 1]
        for variable in layer.variables
    }
    return [names.get(id(variable), model.head.name) for variable in variables]
