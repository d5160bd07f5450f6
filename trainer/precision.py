"""Mixed precision: which one a machine is good for, models that are built in it, and the scale of the loss."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from trainer.compute_settings import ComputeSettings, Precision
from trainer.replicas import local_variable

# As in Micikevicius et al. (2018) and Keras's LossScaleOptimizer.
INITIAL_SCALE = 2.0**15
NUM_UPDATES_BEFORE_GROWTH = 2000
_LEAST_SCALE = 1.0


def best_precision(compute_capabilities: Iterable[tuple[int, int]]) -> Precision:
    """What all GPUs of a machine compute fast.

    Args:
        compute_capabilities: NVIDIA's number of each GPU; none for a machine without.
    """
    least = min(compute_capabilities, default=(0, 0))
    if least >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if least >= (7, 0) else "float32"


def precision_of_devices() -> Precision:
    """`best_precision` of the GPUs that TensorFlow sees; one that does not tell its capability counts as old."""
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.get_visible_devices("GPU")]
    return best_precision(detail.get("compute_capability", (0, 0)) for detail in details)


def precision_of(settings: ComputeSettings) -> Precision:
    """The precision that is asked for, or that of the devices."""
    return precision_of_devices() if settings.precision == "auto" else settings.precision


@contextmanager
def building_in(precision: Precision) -> Iterator[None]:
    """Layers that are made inside the block, and name no dtype of their own, compute in this precision.

    The constructors of keras.applications take no dtype; so Keras's policy for the thread is set, and set back.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def computing_in_float32(model: keras.Model) -> Iterator[None]:
    """Whatever is traced inside the block computes in float32, from the same variables; the model is as before after.

    A graph that was traced before does not see it.
    """
    layers = list(model._flatten_layers())
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = "float32"
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


class LossScale:
    """What the loss is multiplied with, so that gradients in float16 neither vanish nor overflow.

    Keras has an optimizer around an optimizer for it. A phase has several optimizers, which all must update or none, on
    all replicas or none; so the scale stands by itself. Each replica has a copy, and all do the same with theirs.
    """

    def __init__(self) -> None:
        """To be made in the strategy's scope."""
        self._scale = local_variable(np.float32(INITIAL_SCALE), "loss_scale")
        self._num_updates = local_variable(np.int64(0), "num_updates_at_scale")

    @property
    def variables(self) -> list[tf.Variable]:
        """Its state."""
        return [self._scale, self._num_updates]

    def value(self) -> tf.Tensor:
        """The scale, float32 []; to be called on each replica."""
        return tf.convert_to_tensor(self._scale)

    def note_update(self) -> None:
        """After an update, on each replica: the scale doubles when there were enough at it."""
        number = self._num_updates.assign_add(1)
        is_due = number >= NUM_UPDATES_BEFORE_GROWTH
        self._scale.assign_add(tf.where(is_due, self.value(), 0.0))
        self._num_updates.assign_sub(tf.where(is_due, number, tf.zeros_like(number)))

    def note_overflow(self) -> tf.Tensor:
        """After an update was left out, on each replica: the scale halves.

        Returns:
            bool [], whether it could not: then it is not the scale that makes the gradients infinite.
        """
        scale = self.value()
        is_least = scale <= _LEAST_SCALE
        self._scale.assign_sub(tf.where(is_least, 0.0, scale / 2.0))
        self._num_updates.assign_sub(tf.convert_to_tensor(self._num_updates))
        return is_least


def are_finite(gradients: Iterable[tf.Tensor | None]) -> tf.Tensor:
    """Whether all numbers of all gradients are: bool []."""
    found = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients if gradient is not None]
    return tf.reduce_all(tf.stack(found))
