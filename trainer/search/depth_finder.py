"""The search for a phase's freeze boundary: a short training with each of a few, from the same start."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import progress
from trainer.activation_cache.wanted import Planned
from trainer.blocks import blocks_of
from trainer.boundaries import batch_norms_in
from trainer.errors import FreezeContractError, ThawError
from trainer.feeds import Feed
from trainer.history import EpochRecord
from trainer.interruption import StopRequest
from trainer.optimizers import Carried
from trainer.phase_feed import PhaseFeed, augmentation_seed
from trainer.phase_settings import Boundary, PhaseSettings, Unfreeze
from trainer.phase_training import PhaseTraining, Watch, begin
from trainer.replicas import Array
from trainer.search.rate_finder import leaving_no_trace
from trainer.search.results import DepthSearch, DepthTrial
from trainer.stages import Stage
from trainer.steps import values_in
from trainer.training_setup import Setup

DEFAULT_NUM_STEPS = 200


@dataclass(frozen=True)
class _Outcome:
    """Of one trial.

    Attributes:
        trial: without its comparison with the best one.
        losses: of each eval example: float64 [examples].
        weights: of each eval example: float64 [examples].
    """

    trial: DepthTrial
    losses: Array
    weights: Array


def boundaries_to_try(backbone: keras.Model) -> dict[str, Unfreeze]:
    """None, BatchNormalization alone, the last block, a third and two thirds of the blocks, and all; at block edges.

    Returns:
        Boundaries by what they are in words; those that are the same on this backbone, once.
    """
    blocks = blocks_of(backbone)
    found: dict[str, Unfreeze] = {"none": "none"}
    if any(norm.weights for layer in backbone.layers for norm in batch_norms_in(layer)):
        found["batch_norm"] = "batch_norm"
    numbers = {1, math.ceil(len(blocks) / 3), math.ceil(2 * len(blocks) / 3)} - {len(blocks)}
    for number in sorted(numbers):
        name = blocks[-number].name
        found[f"from {name} up"] = Boundary(block=name)
    found["all"] = "all"
    return found


def with_boundary(phase: PhaseSettings, unfreeze: Unfreeze) -> PhaseSettings:
    """The phase with a boundary, without those of its settings that have no meaning there."""
    changes: dict[str, Any] = {"unfreeze": unfreeze}
    if unfreeze in ("none", "batch_norm"):
        changes["batch_norm"] = "frozen"
    if unfreeze == "none":
        changes["block_decay"] = 1.0
    return phase.model_copy(update=changes)


def find_depth(
    setup: Setup,
    stage: Stage,
    carried: Carried | None,
    with_rate: Callable[[PhaseSettings], PhaseSettings | None],
    stop: StopRequest,
) -> DepthSearch | None:
    """Trains a few steps with each boundary and compares the results on the eval split.

    Each trial starts from the model as it is, sees the same examples in the same order, and goes through the phase's
    whole schedule in its few steps. Afterwards all variables have the values that they had before.

    Args:
        setup: with the model as it is at the beginning of the phase.
        stage: its `unfreeze` is not looked at.
        carried: what the phase takes over of its optimizer's state, or None.
        with_rate: gives a phase that has its boundary the learning rate that it is tried with; None where there is none
            to be had, so that the boundary is not tried.
        stop: asked after each step.

    Returns:
        What was found; None where no boundary had a learning rate.

    Raises:
        StopAsked: `stop` says so; the model is as before, too.
        ThawError: all trials diverged.
    """
    length = setup.length_of(stage.phase)
    num_steps = min(stage.phase.trial_steps or DEFAULT_NUM_STEPS, length.num_steps)
    outcomes = []
    worth_trying = _worth_trying(setup, stage.phase)
    for where, unfreeze in worth_trying.items():
        phase = with_rate(with_boundary(stage.phase, unfreeze))
        if phase is not None:
            trial = replace(stage, phase=_shortened(phase, num_steps), hands_state_on=False)
            also = _others(setup, stage, list(worth_trying.values()), num_steps)
            outcomes.append(_try(setup, trial, where, carried, also, stop))
    if not outcomes:
        return None
    if not any(math.isfinite(outcome.trial.eval_log_loss) for outcome in outcomes):
        raise ThawError(
            f"phase {stage.phase.name!r}: the trial of every freeze boundary diverged; lower its learning_rate, or "
            "state a boundary"
        )
    trials = compare(outcomes)
    num_examples = min(setup.data.train.num_examples, num_steps * setup.global_batch_size)
    return DepthSearch(trials, choose(trials), num_steps, num_examples)


def compare(outcomes: Sequence[_Outcome]) -> tuple[DepthTrial, ...]:
    """The trials by the number of their trained parameters, each compared with the best, example by example."""
    best = min(outcomes, key=lambda outcome: outcome.trial.eval_log_loss)
    ordered = sorted(outcomes, key=lambda outcome: outcome.trial.num_trained_parameters)
    return tuple(_compared(outcome, best) for outcome in ordered)


def choose(trials: Sequence[DepthTrial]) -> int:
    """The first that cannot be told from the best: its loss is higher by no more than one standard error.

    The rule of one standard error (Breiman, Friedman, Olshen and Stone 1984, section 3.4.3), on paired differences.

    Args:
        trials: fewest trained parameters first.
    """
    return next(index for index, trial in enumerate(trials) if trial.excess <= trial.standard_error)


def _worth_trying(setup: Setup, phase: PhaseSettings) -> dict[str, Unfreeze]:
    """A policy that is for BatchNormalization layers alone would be an error where the boundary has none above it."""
    backbone = setup.model.backbone
    found = boundaries_to_try(backbone)
    if phase.batch_norm == "frozen":
        return found
    norms = [index for index, layer in enumerate(backbone.layers) if batch_norms_in(layer)]
    first_of = {block.name: block.first for block in blocks_of(backbone)}
    return {
        where: unfreeze
        for where, unfreeze in found.items()
        if not isinstance(unfreeze, Boundary) or (norms and first_of[str(unfreeze.block)] <= norms[-1])
    }


def _shortened(phase: PhaseSettings, num_steps: int) -> PhaseSettings:
    return phase.model_copy(
        update={"epochs": None, "steps": num_steps, "evaluate_every_steps": None, "early_stopping_patience": None}
    )


def _others(setup: Setup, stage: Stage, boundaries: Sequence[Unfreeze], num_steps: int) -> list[Planned]:
    """The trials whose activations one pass may give together, fewest layers first.

    That with BatchNormalization alone has next to nothing below it, and nor has that with all.
    """
    phase, seed = _shortened(stage.phase, num_steps), augmentation_seed(setup.settings, stage)
    some = [boundary for boundary in boundaries if isinstance(boundary, Boundary)]
    return [Planned(with_boundary(phase, boundary), seed) for boundary in some]


def _try(
    setup: Setup, stage: Stage, where: str, carried: Carried | None, also: Sequence[Planned], stop: StopRequest
) -> _Outcome:
    phase, begun_at_s = stage.phase, time.monotonic()
    with leaving_no_trace(setup), closing(begin(setup, stage, carried, PhaseTraining, also)) as training:
        evaluated = _train(training, where, stop)
        losses, weights = losses_of(setup, training.batches)
        trial = DepthTrial(
            unfreeze=phase.unfreeze,
            where=where,
            learning_rate=phase.peak_rate,
            num_trained_parameters=training.trainable.num_trained_parameters,
            eval_log_loss=_mean(losses, weights) if evaluated is not None else math.inf,
            eval_accuracy=evaluated.eval_accuracy if evaluated is not None else 0.0,
            excess=math.inf,
            standard_error=0.0,
            duration_s=time.monotonic() - begun_at_s,
        )
    return _Outcome(trial, losses, weights)


def _train(training: PhaseTraining, where: str, stop: StopRequest) -> EpochRecord | None:
    """The evaluation that the trial ended with; None where it diverged."""

    def report(phase: PhaseTraining) -> None:
        note = f"trying how deep to unfreeze in {phase.phase.name}: {where}"
        progress.report(progress.Progress(phase.step, phase.phase.steps, "steps", note))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it would warn of is in the table
            record = training.train(Watch(report, lambda _: None, stop))
    except FreezeContractError:
        raise
    except ThawError:
        return None
    return record.epochs[record.best_epoch - 1]


def losses_of(setup: Setup, batches: PhaseFeed) -> tuple[Array, Array]:
    """`example_losses`, from the cache where the trial used it."""
    try:
        return example_losses(setup, batches.feed)
    except tf.errors.OpError:
        if not batches.mend():
            raise
        return example_losses(setup, batches.feed)


def example_losses(setup: Setup, feed: Feed) -> tuple[Array, Array]:
    """The log loss of each eval example in nats, and its weight: float64 [examples] each."""
    strategy = setup.strategy

    def on_replica(inputs: Any, label_ids: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = tf.cast(feed.logits(values_in(inputs), False), tf.float32)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(label_ids, logits), weights

    @tf.function(autograph=False)
    def step(batches: Any) -> Any:
        return strategy.run(on_replica, args=next(batches))

    batches = iter(setup.workers.distribute(feed.evaluation_batches()))
    parts = [step(batches) for _ in range(setup.data.eval.num_batches(setup.global_batch_size))]

    def of_all(column: int) -> Array:
        """In the order of the batches, and within each of the replicas of all workers."""
        own = np.stack([np.concatenate(strategy.experimental_local_results(part[column])) for part in parts])
        return np.swapaxes(setup.workers.gather(own), 0, 1).ravel()

    losses, weights = of_all(0), of_all(1)
    is_real = weights > 0
    return losses[is_real].astype(np.float64), weights[is_real].astype(np.float64)


def _compared(outcome: _Outcome, best: _Outcome) -> DepthTrial:
    if outcome is best:
        return replace(outcome.trial, excess=0.0)
    if not math.isfinite(outcome.trial.eval_log_loss):
        return outcome.trial
    differences, weights = outcome.losses - best.losses, outcome.weights
    excess = _mean(differences, weights)
    error = math.sqrt(float(np.sum((weights * (differences - excess)) ** 2))) / float(weights.sum())
    return replace(outcome.trial, excess=excess, standard_error=error)


def _mean(values: Array, weights: Array) -> float:
    return float(np.sum(values * weights) / np.sum(weights))
