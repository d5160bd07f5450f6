"""One step of training or evaluation, as a graph that runs on every replica."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import augmentation, model_pass, precision
from trainer.activation_cache.reading import ACTIVATIONS
from trainer.activation_cache.views import example_seeds
from trainer.averaging import MovingAverage
from trainer.history import Summary
from trainer.norms import Norms
from trainer.optimizers import Optimizers
from trainer.replicas import Array, components, local_variable
from trainer.settings import ModelSettings, PhaseSettings
from trainer.workers import Workers

Batch = tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]


class Totals:
    """Sums over examples, kept on each replica and added up when they are read; in float64, so that order is nothing.

    They are variables, so that a checkpoint in the middle of an epoch holds them.
    """

    def __init__(self) -> None:
        """To be made in the strategy's scope."""
        self._workers = Workers(tf.distribute.get_strategy())
        self._sums = local_variable(np.zeros(3), "sums")
        self._num_steps = local_variable(np.int64(0), "num_steps")
        self._first_bad_step = local_variable(np.int64(0), "first_bad_step")

    @property
    def variables(self) -> list[tf.Variable]:
        """Their state."""
        return [self._sums, self._num_steps, self._first_bad_step]

    def add(self, losses: tf.Tensor, is_right: tf.Tensor, weights: tf.Tensor) -> None:
        """Adds a batch, on each replica.

        Args:
            losses: float32 [batch].
            is_right: bool [batch].
            weights: float32 [batch]; 0 for padding, whose loss may be anything.
        """
        losses = tf.where(weights > 0, losses, 0.0)
        columns = tf.stack([losses * weights, tf.cast(is_right, tf.float32) * weights, weights])
        self._sums.assign_add(tf.reduce_sum(tf.cast(columns, tf.float64), axis=1))
        number = self._num_steps.assign_add(1)
        is_first = tf.equal(self._first_bad_step, 0) & ~tf.reduce_all(tf.math.is_finite(losses))
        self._first_bad_step.assign_add(tf.where(is_first, number, tf.zeros_like(number)))

    def note_bad_step(self, is_bad: tf.Tensor) -> None:
        """Counts the step that was added last as bad where `is_bad`, bool []; on each replica."""
        number = tf.convert_to_tensor(self._num_steps)
        is_first = tf.equal(self._first_bad_step, 0) & is_bad
        self._first_bad_step.assign_add(tf.where(is_first, number, tf.zeros_like(number)))

    def summary(self) -> Summary:
        """The means so far."""
        loss, num_right, weight = np.sum(self._on_all_replicas(self._sums), axis=0)
        return (
            Summary(float(loss / weight), float(num_right / weight)) if weight else Summary(float("nan"), float("nan"))
        )

    def first_bad_step(self) -> int | None:
        """Which step, counted from 1, was the first with a loss that is infinite or no number; None where none was."""
        found = self._on_all_replicas(self._first_bad_step)
        return min((int(step) for step in found if step), default=None)

    def reset(self) -> None:
        """Forgets everything."""
        for variable in self.variables:
            for component in components(variable):
                component.assign(tf.zeros_like(component))

    def _on_all_replicas(self, variable: tf.Variable) -> Array:
        """The values on the replicas of all workers, in their order: [replicas, …]."""
        own = np.stack([np.array(component) for component in components(variable)])
        return self._workers.gather(own).reshape(-1, *own.shape[1:])


class Steps:
    """The graphs of a phase. `train` and `evaluate` take the next batch from a distributed iterator."""

    def __init__(
        self,
        logits_of: model_pass.LogitsOf,
        num_classes: int,
        phase: PhaseSettings,
        settings: ModelSettings,
        optimizers: Optimizers,
        average: MovingAverage | None,
        weights_of_classes: np.ndarray[Any, Any] | None,
        seed: int,
        norms: Norms | None = None,
    ) -> None:
        """To be made in the strategy's scope.

        Args:
            logits_of: the model, with `trainable` as the phase has it; what it is when a graph is traced, counts.
            num_classes: that there are logits of.
            phase: its augmentation.
            settings: the loss.
            optimizers: of the phase.
            average: of the weights, or None.
            weights_of_classes: float32 [classes], or None.
            seed: of the augmentation.
            norms: of gradients and updates, or None; without, nothing of it is in the graph.
        """
        self._logits_of, self._num_classes, self._phase, self._settings = logits_of, num_classes, phase, settings
        self._optimizers, self._average = optimizers, average
        self._seed, self.norms = seed, norms
        self._strategy = tf.distribute.get_strategy()
        self._pass = model_pass.build(logits_of, settings, optimizers.trained, weights_of_classes)
        self._loss_scale = precision.LossScale() if settings.compute.precision == "mixed_float16" else None
        self.train_totals, self.eval_totals = Totals(), Totals()
        self._train_graph = tf.function(self._train, autograph=False)
        self._weights = tf.function(self._read_weights, autograph=False)
        self._note_update = tf.function(self._note_update_on_replicas, autograph=False)
        self.evaluate = tf.function(self._evaluate, autograph=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a training step changes beside the model, the optimizers and the average."""
        scale = self._loss_scale.variables if self._loss_scale is not None else []
        norms = self.norms.variables if self.norms is not None else []
        return [*self.train_totals.variables, *scale, *norms]

    def norms_of_epoch(self) -> dict[str, float]:
        """See `trainer.norms.Norms.summary`; none where they are not noted."""
        return self.norms.summary() if self.norms is not None else {}

    def begin_epoch(self) -> None:
        """Forgets what was counted and noted while training."""
        self.train_totals.reset()
        if self.norms is not None:
            self.norms.reset()

    def train(self, batches: Iterator[Batch], is_noted: bool = False) -> None:
        """Trains on the next batch.

        Args:
            batches: of a distributed dataset.
            is_noted: whether this step's norms are noted, where there are any.

        Raises:
            ConfigurationError: the model cannot be compiled, and the settings say that it is to be.
        """
        with model_pass.explaining_what_does_not_compile(self._settings):
            if self.norms is None:
                self._train_graph(batches)
                return
            before = self._weights() if is_noted else None
            self._train_graph(batches, tf.constant(is_noted))
        if before is not None:
            self._note_update(before)

    def _train(self, batches: Iterator[Batch], is_noted: tf.Tensor | None = None) -> None:
        if self._loss_scale is None and is_noted is None:
            self._on_next(batches, self._train_on_replica)
            return
        if self._loss_scale is None:
            self._update_on_replicas(self._update, self._on_next(batches, self._plain_gradients), is_noted)
            return
        gradients, num_overflows = self._on_next(batches, self._unscaled_gradients)
        # Decided for all replicas together, or their weights would part.
        tf.cond(
            tf.equal(self._strategy.reduce(tf.distribute.ReduceOp.SUM, num_overflows, axis=None), 0),
            lambda: self._update_on_replicas(self._update_at_scale, gradients, is_noted),
            lambda: self._on_replicas(self._leave_out),
        )

    def _update_on_replicas(self, update: Callable[..., None], gradients: Any, is_noted: tf.Tensor | None) -> tf.Tensor:
        norms = self.norms
        if norms is not None and is_noted is not None:
            tf.cond(is_noted, lambda: self._on_replicas(norms.note_gradients, gradients), lambda: tf.constant(True))
        return self._on_replicas(update, gradients)

    def _read_weights(self) -> Any:
        assert self.norms is not None
        return self._strategy.run(self.norms.weights)

    def _note_update_on_replicas(self, before: Any) -> None:
        assert self.norms is not None
        self._strategy.run(self.norms.note_update, args=(before,))

    def _evaluate(self, batches: Iterator[Batch]) -> None:
        self._on_next(batches, self._evaluate_on_replica)

    def _on_next(self, batches: Iterator[Batch], call: Callable[..., Any]) -> Any:
        """Nothing is drawn, counted or updated before all of the batch is there: if it never comes, nothing was."""
        batch = next(batches)
        arrived = tf.nest.flatten(batch, expand_composites=True)

        def call_afterwards(*arguments: Any) -> Any:
            with tf.control_dependencies(arrived):
                return call(*arguments)

        return self._strategy.run(call_afterwards, args=batch)

    def _on_replicas(self, call: Callable[..., None], *arguments: Any) -> tf.Tensor:
        """Returns something, as a branch must."""
        self._strategy.run(call, args=arguments)
        return tf.constant(True)

    def _train_on_replica(self, inputs: dict[str, tf.Tensor], label_ids: tf.Tensor, weights: tf.Tensor) -> None:
        self._update(self._plain_gradients(inputs, label_ids, weights))

    def _plain_gradients(
        self, inputs: dict[str, tf.Tensor], label_ids: tf.Tensor, weights: tf.Tensor
    ) -> list[tf.Tensor | None]:
        return self._gradients(inputs, label_ids, weights, tf.constant(1.0))

    def _unscaled_gradients(
        self, inputs: dict[str, tf.Tensor], label_ids: tf.Tensor, weights: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The gradients that the scaled loss gave, divided by the scale; and 1 if some are infinite or no numbers."""
        assert self._loss_scale is not None
        scale = self._loss_scale.value()
        found = self._gradients(inputs, label_ids, weights, scale)
        gradients = [
            tf.zeros(variable.shape) if gradient is None else gradient / scale
            for variable, gradient in zip(self._optimizers.trained, found, strict=True)
        ]
        return gradients, tf.cast(~precision.are_finite(gradients), tf.int32)

    def _update_at_scale(self, gradients: list[tf.Tensor]) -> None:
        assert self._loss_scale is not None
        self._update(gradients)
        self._loss_scale.note_update()

    def _leave_out(self) -> None:
        assert self._loss_scale is not None
        self.train_totals.note_bad_step(self._loss_scale.note_overflow())

    def _update(self, gradients: Sequence[tf.Tensor | None]) -> None:
        self._optimizers.apply(gradients)
        if self._average is not None:
            self._average.update()

    def _gradients(
        self, inputs: dict[str, tf.Tensor], label_ids: tf.Tensor, weights: tf.Tensor, scale: tf.Tensor
    ) -> list[tf.Tensor | None]:
        """Of this replica's share of the loss, times the scale; the batch joins the totals."""
        values, labels = self._vary(inputs, label_ids, weights)
        # The shares add up to 1 over all replicas, and so do the gradients to that of the mean.
        logits, losses, gradients = self._pass(values, labels, inputs["loss_share"], scale)
        is_right = tf.equal(tf.argmax(logits, axis=-1), tf.argmax(labels, axis=-1))
        self.train_totals.add(losses, is_right, weights)
        return gradients

    def _evaluate_on_replica(self, inputs: dict[str, tf.Tensor], label_ids: tf.Tensor, weights: tf.Tensor) -> None:
        logits = tf.cast(self._logits_of(values_in(inputs), False), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label_ids, logits)
        self.eval_totals.add(losses, tf.equal(tf.argmax(logits, axis=-1), label_ids), weights)

    def _vary(self, inputs: dict[str, tf.Tensor], label_ids: tf.Tensor, weights: tf.Tensor) -> tuple[Any, tf.Tensor]:
        labels = tf.one_hot(label_ids, self._num_classes)
        if self._phase.augmentation.changes_nothing or ACTIVATIONS in inputs:  # those are of varied images already
            return values_in(inputs), labels
        seeds = example_seeds(self._seed, inputs["position"])
        varied: tuple[tf.Tensor, tf.Tensor] = augmentation.augment(
            self._phase.augmentation, inputs["pixels"], labels, weights, seeds
        )
        return varied


def values_in(inputs: dict[str, Any]) -> Any:
    """What goes into the model."""
    return inputs[ACTIVATIONS] if ACTIVATIONS in inputs else inputs["pixels"]
