"""One phase of training: its epochs, its best weights, and its state as a checkpoint has it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from trainer import (
    batch_norm,
    datasets,
    divergence,
    freeze_contract,
    freezing,
    history,
    norms,
    optimizers,
    rate_groups,
    replicas,
    schedules,
)
from trainer.activation_cache.wanted import Planned
from trainer.averaging import MovingAverage
from trainer.history import EpochRecord, PhaseRecord, Summary
from trainer.interruption import StopAsked, StopRequest
from trainer.optimizers import Carried
from trainer.phase_feed import PhaseFeed, augmentation_seed
from trainer.replicas import Array, Components
from trainer.settings import PhaseSettings
from trainer.stages import Stage
from trainer.steps import Steps
from trainer.training_setup import Setup

# How often the loss is looked at: to read it, the host waits for the accelerator.
_STEPS_BETWEEN_LOOKS = 50


@dataclass(frozen=True)
class Watch:
    """Who looks on while a phase trains.

    Attributes:
        after_step: called after each step, when all state is in place.
        on_epoch: called after each evaluation.
        stop: whether to stop.
    """

    after_step: Callable[["PhaseTraining"], None]
    on_epoch: Callable[[EpochRecord], None]
    stop: StopRequest

    def stop_if_asked(self) -> None:
        """Raises StopAsked if somebody wants the training to stop."""
        if self.stop.is_set:
            raise StopAsked


class PhaseTraining:
    """A phase that is being trained.

    Attributes:
        stage: the phase, its place in the training, and what was found for it.
        phase: of the stage.
        step: how many steps are done.
        epochs: the evaluated ones.
        first_iterations: updates that variables had before, see `trainer.optimizers.build`.
        digests_before: of all variables before the phase.
        batches: what it trains on.
    """

    def __init__(
        self, setup: Setup, stage: Stage, first_iterations: Mapping[str, int], also: Sequence[Planned] | None = None
    ) -> None:
        """Freezes and unfreezes, and makes the graphs anew: once traced, they take no notice of `trainable`.

        Args:
            setup: of the training.
            stage: that is to be trained.
            first_iterations: updates that variables had before.
            also: see `trainer.phase_feed.PhaseFeed`.
        """
        self._setup, self.stage = setup, stage
        self.phase: PhaseSettings = stage.phase
        self.step = 0
        self.epochs: list[EpochRecord] = []
        self.first_iterations = dict(first_iterations)
        self.digests_before = freeze_contract.digest_variables(setup.model)
        self._length = setup.length_of(stage.phase)
        self._best: dict[str, Array] = {}
        self.batches = PhaseFeed(setup, stage, also)
        with setup.strategy.scope():
            self.trainable = freezing.freeze(setup.model, self.phase)
            self._make_steps()

    def _make_steps(self) -> None:
        settings, model = self._setup.settings, self._setup.model
        groups = rate_groups.groups_of(model, self.phase)
        self.optimizers = optimizers.build(groups, self.phase, self._rates(), self.first_iterations)
        decay = settings.ema_decay
        self._average = None if decay is None else MovingAverage(model.trainable_variables, decay)
        self._steps = Steps(
            lambda values, training: self.batches.feed.logits(values, training),
            self._setup.data.num_classes,
            self.phase,
            settings,
            self.optimizers,
            self._average,
            self._setup.weights_of_classes,
            self._seed,
            norms.build(model, self.optimizers.trained, self.phase) if self._setup.notes_norms else None,
        )

    def _rates(self) -> np.ndarray[Any, Any]:
        """Of the head at each step: [steps]."""
        return schedules.rates_of(self.phase, self._length.num_steps)

    @property
    def _seed(self) -> int:
        return augmentation_seed(self._setup.settings, self.stage)

    @property
    def _seed_of_order(self) -> int:
        """Of the order of the examples; no two stages of a run share one."""
        return self._setup.settings.seed + self.stage.stream

    @property
    def _variables(self) -> Components:
        """Everything that a step changes."""
        averages = self._average.variables if self._average is not None else []
        return {
            **replicas.name_components("model", self._setup.model.variables),
            **replicas.name_components("optimizers", self.optimizers.variables),
            **replicas.name_components("averages", averages),
            **replicas.name_components("totals", self._steps.variables),
        }

    @property
    def _kept(self) -> Components:
        """What the phase ends with as it was after its best epoch.

        Frozen variables are not among them: were one to change, restoring it would hide that from the freeze contract.
        """
        model = self._setup.model
        free = {variable.path for variable in model.trainable_variables} | model.modes.moving_statistics
        kept = replicas.name_components("model", [weight for weight in model.weights if weight.path in free])
        if self.stage.hands_state_on:
            kept.update(replicas.name_components("optimizers", self.optimizers.variables))
        return kept

    def arrays(self) -> dict[str, Array]:
        """The values of all variables, and the best ones so far."""
        return {**replicas.read(self._variables), **{f"best/{name}": value for name, value in self._best.items()}}

    def restore(
        self, step: int, epochs: Iterable[EpochRecord], digests: Iterable[str], arrays: Mapping[str, Array]
    ) -> None:
        """Goes back to where `arrays` were taken."""
        self.step, self.epochs = step, list(epochs)
        self.digests_before = dict(zip(self.digests_before, digests, strict=True))
        prefix = "best/"
        names = self._variables
        replicas.write(names, {name: value for name, value in arrays.items() if name in names})
        self._best = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

    def train(self, watch: "Watch") -> PhaseRecord:
        """Trains to the end, from the step where it stands.

        Raises:
            StopAsked: `watch` says so; the state is that after a whole step.
            ThawError: the loss was a number in no epoch.
            FreezeContractError: a frozen variable changed.
        """
        self.batches.check = watch.stop_if_asked
        warning = self._train_epochs(watch)
        best_epoch = history.best_or_error(self.phase, self.epochs)
        replicas.write(self._kept, self._best)
        recalibrated = self._recalibrate(watch) if self.phase.batch_norm == "recalibrate" else None
        if recalibrated is not None:
            harm = batch_norm.warn_of_harm(
                self.phase.name, self.epochs[best_epoch - 1].eval_log_loss, recalibrated.loss
            )
            warning = warning or harm
        contract = freeze_contract.check(self._setup.model, self.phase.name, self.digests_before, self._setup.workers)
        return PhaseRecord(
            self.phase,
            self.trainable,
            contract,
            tuple(self.epochs),
            best_epoch,
            warning,
            recalibrated,
            self.stage.search,
            self.batches.use,
        )

    def close(self) -> None:
        """Lets go of what is in use for it; it cannot be trained on afterwards."""
        self.batches.close()

    def _train_epochs(self, watch: "Watch") -> str | None:
        """Returns a warning where the loss ceased to be a number after a good epoch."""
        self._iterator = self._batches()
        while not history.is_over(self.phase, self._length, self.epochs):
            bad_step = self._train_epoch(watch)
            if bad_step is not None:
                return divergence.explain(self.phase, self._length, self.epochs, bad_step)
            watch.on_epoch(self._evaluate(watch))
        return None

    def _batches(self) -> Iterator[Any]:
        batches = self.batches.feed.training_batches(self._seed_of_order, self._length.num_epochs, self.step)
        return iter(self._setup.workers.distribute(batches))

    def _train_epoch(self, watch: "Watch") -> int | None:
        """Returns the first step of the epoch, counted from 1, whose loss was no number; None where all were."""
        end = self._length.step_of(len(self.epochs) + 1)
        while self.step < end:
            try:
                self._steps.train(self._iterator, norms.is_due(self.step + 1, end))
            except tf.errors.OpError:
                if not self.batches.mend():
                    raise
                self._iterator = self._batches()
                continue
            self.step += 1
            if self.step % _STEPS_BETWEEN_LOOKS == 0 or self.step == end:
                bad_step = self._steps.train_totals.first_bad_step()
                if bad_step is not None:
                    return bad_step
            watch.after_step(self)
            watch.stop_if_asked()
        return None

    def _evaluate(self, watch: "Watch") -> EpochRecord:
        """Judges the epoch by the averaged weights if there are any, and notes them if they are the best so far."""
        trained = self._steps.train_totals.summary()
        with self._average.in_place() if self._average is not None else contextlib.nullcontext():
            self._run_evaluation(watch)
            evaluated = self._steps.eval_totals.summary()
            record = EpochRecord(
                phase=self.phase.name,
                epoch=len(self.epochs) + 1,
                train_loss=trained.loss,
                train_accuracy=trained.accuracy,
                eval_log_loss=evaluated.loss,
                eval_accuracy=evaluated.accuracy,
                learning_rates=self.optimizers.rates(),
                step=self.step,
                norms=self._steps.norms_of_epoch(),
            )
            self.epochs.append(record)
            if history.best_of(self.phase, self.epochs) == record.epoch:
                self._best = replicas.read(self._kept)
        self._steps.begin_epoch()
        return record

    def _recalibrate(self, watch: "Watch") -> Summary:
        setup = self._setup
        batches = datasets.training_batches(
            setup.data.train, setup.global_batch_size, self._seed_of_order, num_epochs=1
        )
        batch_norm.recalibrate(setup.model, batches, setup.strategy)
        self._run_evaluation(watch)
        return self._steps.eval_totals.summary()

    def _run_evaluation(self, watch: "Watch") -> None:
        try:
            self._evaluate_all(watch)
        except tf.errors.OpError:
            if not self.batches.mend():
                raise
            self._evaluate_all(watch)

    def _evaluate_all(self, watch: "Watch") -> None:
        setup = self._setup
        self._steps.eval_totals.reset()
        batches = iter(setup.workers.distribute(self.batches.feed.evaluation_batches()))
        for _ in range(setup.data.eval.num_batches(setup.global_batch_size)):
            self._steps.evaluate(batches)
            watch.stop_if_asked()


PhaseKind = TypeVar("PhaseKind", bound=PhaseTraining)


def begin(
    setup: Setup, stage: Stage, carried: Carried | None, kind: type[PhaseKind], also: Sequence[Planned] | None = None
) -> PhaseKind:
    """A phase at its first step, with the optimizer's state of the phase before if it takes that over."""
    phase = kind(setup, stage, carried.iterations if carried is not None else {}, also)
    if carried is not None:
        phase.optimizers.take_over(carried)
    return phase
