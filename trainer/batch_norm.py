"""Estimating the statistics of BatchNormalization anew after a phase."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from trainer.classifier import Classifier
from trainer.errors import ThawError
from trainer.workers import Workers

_Norms: TypeAlias = tuple[keras.layers.BatchNormalization, ...]


def recalibrate(model: Classifier, batches: tf.data.Dataset, strategy: tf.distribute.Strategy) -> None:
    """Estimates moving mean and variance of the BatchNormalization layers above the freeze boundary anew.

    Each of them normalizes by the statistics of the batch, over all replicas together, while all else is as in
    inference: with Dropout on, the variances would be those of other inputs than the model will see. The new mean is
    the mean over batches; the new variance is the mean of the batches' variances plus the variance of their means, so
    that those of the first such layer do not depend on the batch size. No other variable changes.

    Args:
        model: `trainer.freezing.freeze` has set the boundary.
        batches: one pass over the training split, shuffled, since a batch of one class has statistics of its own, and
            without augmentation: (inputs, …, …) with weights float [batch] third, in global batches. Those with padding
            (weight 0) are left out; if all have some, it is replaced by repeating real examples.
        strategy: that the model was built under.

    Raises:
        ThawError: there is no batch, or statistics that are no numbers.
    """
    norms = model.modes.batch_norms
    if not norms:
        return
    batches = batches.map(lambda *batch: (batch[0], batch[2]))
    full = batches.filter(lambda inputs, weights: tf.reduce_all(weights > 0))
    with _following_each_batch(norms, strategy):
        collected = _statistics(model, norms, full, strategy) or _statistics(
            model, norms, batches.map(_filled), strategy
        )
    if not collected:
        raise ThawError("statistics of BatchNormalization cannot be estimated anew: there is no training batch")
    _assign(norms, collected, strategy)
    paths = {variable.path for norm in norms for variable in (norm.moving_mean, norm.moving_variance)}
    model.modes = replace(model.modes, moving_statistics=model.modes.moving_statistics | paths)


class _Moments:
    """Sums over batches, in float64, of what the layers found: the mean, its square, and the variance."""

    def __init__(self) -> None:
        self.num_batches = 0
        self.sums: dict[int, np.ndarray[Any, Any]] = {}

    def add(self, norms: _Norms) -> None:
        self.num_batches += 1
        for norm in norms:
            mean, variance = (np.asarray(v, np.float64) for v in (norm.moving_mean, norm.moving_variance))
            found = np.stack([mean, mean**2, variance])
            self.sums[id(norm)] = self.sums.get(id(norm), 0) + found

    def of(self, norm: keras.layers.BatchNormalization) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        mean, square, variance = self.sums[id(norm)] / self.num_batches
        return mean, variance + np.maximum(square - mean**2, 0)


def _statistics(
    model: Classifier, norms: _Norms, batches: tf.data.Dataset, strategy: tf.distribute.Strategy
) -> _Moments | None:
    """Runs all batches; None where there are none."""
    measured = {id(norm) for norm in norms}

    @tf.function
    def step(inputs: Any) -> None:
        strategy.run(lambda shard: model.feature_map(shard, lambda layer: id(layer) in measured), args=(inputs,))

    moments = _Moments()
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    own = batches.map(lambda inputs, weights: inputs).with_options(options)
    for inputs in Workers(strategy).distribute(own):
        step(inputs)
        moments.add(norms)
    return moments if moments.num_batches else None


def _filled(inputs: Any, weights: tf.Tensor) -> tuple[Any, tf.Tensor]:
    """Puts real examples, from the first on, into the places of padding."""
    real = tf.reshape(tf.where(weights > 0), [-1])
    chosen = tf.gather(real, tf.range(tf.size(weights)) % tf.size(real))
    return tf.nest.map_structure(lambda values: tf.gather(values, chosen), (inputs, weights))


@contextmanager
def _following_each_batch(norms: _Norms, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Makes the layers' moving statistics those of the last batch, and afterwards all as it was."""
    before = [(norm.trainable, norm.momentum, norm.synchronized) for norm in norms]
    statistics = [(np.array(norm.moving_mean), np.array(norm.moving_variance)) for norm in norms]
    for norm in norms:
        norm.trainable, norm.momentum = True, 0.0
        norm.synchronized = strategy.num_replicas_in_sync > 1
    try:
        yield
    finally:
        for norm, (trainable, momentum, synchronized) in zip(norms, before, strict=True):
            norm.trainable, norm.momentum, norm.synchronized = trainable, momentum, synchronized
        with strategy.scope():
            for norm, (mean, variance) in zip(norms, statistics, strict=True):
                norm.moving_mean.assign(mean)
                norm.moving_variance.assign(variance)


def _assign(norms: _Norms, moments: _Moments, strategy: tf.distribute.Strategy) -> None:
    for norm in norms:
        if not np.isfinite(moments.sums[id(norm)]).all():
            raise ThawError(
                f"the statistics of {norm.name!r}, estimated anew, are not all numbers: the features below it are not "
                "either; lower the phase's learning_rate"
            )
    with strategy.scope():
        for norm in norms:
            mean, variance = moments.of(norm)
            norm.moving_mean.assign(mean.astype(np.float32))
            norm.moving_variance.assign(variance.astype(np.float32))


def warn_of_harm(phase: str, log_loss_before: float, log_loss_after: float) -> str | None:
    """Warns where statistics that were estimated anew do harm, and returns the words; None where they do not.

    The layers above were trained on the old statistics. Where the data are far from those of the pretraining, what
    reaches these layers changes much (`docs/plans.md` has figures).

    Args:
        phase: its name.
        log_loss_before: of the eval split, with the weights that the phase ends with.
        log_loss_after: the same with the new statistics.
    """
    if log_loss_after <= log_loss_before:
        return None
    words = (
        f"phase {phase!r}: the statistics that were estimated anew make the log loss of the eval split worse, "
        f"{log_loss_after:.4f} in place of {log_loss_before:.4f}; leave `batch_norm: recalibrate` out, or take adapt"
    )
    warnings.warn(words, stacklevel=3)
    return words
