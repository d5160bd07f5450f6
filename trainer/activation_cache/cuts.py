"""Where a classifier is cut in two: what lies below is computed once per image, what lies above is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainer import layer_graph
from trainer.boundaries import operation_index, resolve
from trainer.classifier import Classifier
from trainer.phase_settings import PhaseSettings


@dataclass(frozen=True)
class Cut:
    """A place in a classifier.

    Attributes:
        position: in `backbone.operations`; the operations before it are below.
        with_pooling: pooling is below as well, because the whole backbone is.
    """

    position: int
    with_pooling: bool


def cut_for(model: Classifier, phase: PhaseSettings) -> Cut:
    """The highest place below which a phase changes nothing: its freeze boundary, or after pooling if all is frozen."""
    position = operation_index(model.backbone, resolve(model.backbone, phase.unfreeze).first)
    return Cut(position, position == len(model.backbone.operations))


def num_parameters_below(model: Classifier, cut: Cut) -> int:
    """How many numbers the variables of the layers below a cut have."""
    operations = model.backbone.operations[: cut.position]
    return sum(layer.count_params() for layer in operations if isinstance(layer, keras.layers.Layer))


def layout(model: Classifier, cut: Cut) -> tuple[tf.TensorSpec, ...]:
    """Shape and dtype, for one image, of each tensor that crosses a cut; with a residual connection there are more."""
    if cut.with_pooling:
        channels = model.backbone.output_shape[-1]
        return (tf.TensorSpec([channels], model.pooling.compute_dtype),)
    tensors = layer_graph.tensors_crossing(model.backbone, cut.position)
    return tuple(tf.TensorSpec(tensor.shape[1:], tensor.dtype) for tensor in tensors)


def below(model: Classifier, cuts: Sequence[Cut], pixels: Any) -> tuple[tuple[tf.Tensor, ...], ...]:
    """What crosses each cut, in inference mode, in one run of the layers below the highest.

    Args:
        model: whose `modes` play no part.
        cuts: one or more.
        pixels: [batch, size, size, 3] in 0..255, of any real dtype.

    Returns:
        For each cut, tensors [batch, …] as `layout` has them.
    """
    crossing = layer_graph.run_below(model.backbone, model.scaled(pixels), [cut.position for cut in cuts])
    return tuple(
        tuple(model.pooling(tensor) for tensor in tensors) if cut.with_pooling else tensors
        for cut, tensors in zip(cuts, crossing, strict=True)
    )


def logits_above(model: Classifier, cut: Cut, crossing: Sequence[tf.Tensor], training: bool) -> tf.Tensor:
    """`Classifier.logits` from what crosses a cut: float32 [batch, classes].

    Args:
        model: with the `modes` of the phase that the cut was made for.
        cut: where.
        crossing: tensors [batch, …] as `below` gave them.
        training: a Python boolean.
    """
    if cut.with_pooling:
        (pooled,) = crossing
        return model.classify(pooled, training)
    in_training = model.modes.in_training
    features = layer_graph.run_above(
        model.backbone, crossing, cut.position, lambda layer: training and id(layer) in in_training
    )
    return model.classify(model.pooling(features), training)
