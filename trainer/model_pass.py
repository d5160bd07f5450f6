"""The model's forward and backward pass on a replica: whole or in micro-batches, compiled by XLA or not."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.errors import ConfigurationError
from trainer.losses import loss_per_example
from trainer.settings import ModelSettings

# What TensorFlow says of an operation without a kernel, and of one without a kernel that is deterministic; it has none
# for the gradient of max pooling, and says "GPU" on a CPU, too.
_NOT_COMPILED = (
    r"No registered '(\w+)' OpKernel for XLA",
    r"(?:GPU )?([\w ]+) ops do not yet have a deterministic XLA implementation",
)
# Logits [batch, classes], losses [batch], and a gradient, or None, of each trained variable.
Outcome = tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | None]]
Pass = Callable[[Any, tf.Tensor, tf.Tensor, tf.Tensor], Outcome]
# Logits, float32 [batch, classes], from what goes into the model, and whether it is in training.
LogitsOf = Callable[[Any, bool], tf.Tensor]


def build(
    logits_of: LogitsOf,
    settings: ModelSettings,
    trained: Sequence[Any],
    weights_of_classes: np.ndarray[Any, Any] | None,
) -> Pass:
    """Makes the pass as the settings say.

    Args:
        logits_of: the model, with `trainable` as the phase has it.
        settings: the loss, and how it is computed.
        trained: the variables to find gradients of.
        weights_of_classes: float32 [classes], or None.

    Returns:
        A function of what goes into the model, a tensor or several, [batch, …]; label probabilities float32 [batch,
        classes]; what each example counts in the sum that the gradients are of, float32 [batch]; and what that sum is
        multiplied with, float32 []. It is to be called on each replica.
    """

    def whole(values: Any, labels: tf.Tensor, shares: tf.Tensor, scale: tf.Tensor, unconnected: str) -> Outcome:
        with tf.GradientTape() as tape:
            logits = logits_of(values, True)
            losses = loss_per_example(settings.loss, labels, logits, weights_of_classes)
            loss = tf.reduce_sum(losses * shares) * scale
        sources = [variable.value for variable in trained]
        return logits, losses, tape.gradient(loss, sources, unconnected_gradients=unconnected)

    def in_parts(values: Any, labels: tf.Tensor, shares: tf.Tensor, scale: tf.Tensor) -> Outcome:
        number = settings.compute.num_micro_batches
        if number == 1:
            return whole(values, labels, shares, scale, "none")
        parts = tf.nest.map_structure(lambda tensor: _split(tensor, number), (values, labels, shares))

        def add_part(index: tf.Tensor, logits: Any, losses: Any, gradients: list[tf.Tensor]) -> tuple[Any, ...]:
            some_values, of_labels, of_shares = tf.nest.map_structure(lambda tensor: tensor[index], parts)
            some_logits, some_losses, found = whole(some_values, of_labels, of_shares, scale, "zero")
            sums = [total + tf.convert_to_tensor(new) for total, new in zip(gradients, found, strict=True)]
            return index + 1, logits.write(index, some_logits), losses.write(index, some_losses), sums

        start = (0, _rows(number), _rows(number), [tf.zeros(variable.shape, variable.dtype) for variable in trained])
        _, logits, losses, gradients = tf.while_loop(
            lambda index, *_: index < number, add_part, start, parallel_iterations=1, maximum_iterations=number
        )
        return logits.concat(), losses.concat(), gradients

    return tf.function(in_parts, jit_compile=True, autograph=False) if settings.compute.jit_compile else in_parts


def _split(values: tf.Tensor, number: int) -> tf.Tensor:
    """[batch, …] to [number, batch / number, …]."""
    return tf.reshape(values, [number, -1, *values.shape[1:]])


def _rows(number: int) -> tf.TensorArray:
    return tf.TensorArray(tf.float32, number)


@contextmanager
def explaining_what_does_not_compile(settings: ModelSettings) -> Iterator[None]:
    """Names the operations that XLA cannot compile, or not such that each run gives the same bits.

    Raises:
        ConfigurationError: in the place of TensorFlow's error, which has the whole graph in it.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, ValueError) as error:
        found = sorted({words for pattern in _NOT_COMPILED for words in re.findall(pattern, str(error))})
        if not settings.compute.jit_compile or not found:
            raise
        raise ConfigurationError(
            f"model.compute.jit_compile: XLA cannot compile {', '.join(found)}, which {settings.backbone} needs where "
            "it trains; leave jit_compile out, take another backbone, or unfreeze less"
        ) from error
