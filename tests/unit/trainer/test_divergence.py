"""Phases that come to nothing: losses that are no numbers, and too little memory."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings
from trained import Digits, score, train

from trainer.errors import ThawError
from trainer.history import EpochRecord
from trainer.phase_training import PhaseTraining
from trainer.training import TrainingData

pytestmark = pytest.mark.slow


def test_a_phase_whose_loss_is_no_number_is_an_error_that_names_the_learning_rate(
    training_data: TrainingData,
) -> None:
    plan = settings(phases=(head_phase(learning_rate=1e38), fine_tune_phase()))
    with pytest.raises(ThawError, match=r"phase 'head' diverged.*lower its learning_rate \(1e\+38\)"):
        train(plan, training_data)


def become_no_number_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spoils the head after that epoch of each phase, as a step with a much too high rate would."""
    original = PhaseTraining._evaluate

    def spoil(phase: PhaseTraining, *arguments: Any) -> EpochRecord:
        record = original(phase, *arguments)
        if record.epoch == epoch:
            bias = phase._setup.model.head.bias
            bias.assign(np.full(bias.shape, np.nan, np.float32))
        return record

    monkeypatch.setattr(PhaseTraining, "_evaluate", spoil)


def test_a_phase_that_diverges_after_a_good_epoch_ends_with_its_best_weights_and_a_warning(
    training_data: TrainingData, eval_digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    become_no_number_after(2, monkeypatch)
    plan = settings(phases=(head_phase(epochs=4), fine_tune_phase(epochs=4)))
    words = (
        "phase 'head' diverged: in epoch 3, at step 9 of the phase and learning rate 0.02, the loss was not a number"
    )
    with pytest.warns(UserWarning, match=words):
        run = train(plan, training_data)
    for phase in run.phases:
        assert len(phase.epochs) == 2
        assert phase.warning is not None
        assert f"ends with the weights of epoch {phase.best_epoch}" in phase.warning
    best = run.phases[1].epochs[run.phases[1].best_epoch - 1]
    assert score(run.model, run.at_end, eval_digits)[0] == pytest.approx(best.eval_log_loss, rel=1e-4)


def test_epochs_whose_eval_loss_is_no_number_are_never_the_best(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By accuracy they might be: a model that answers with no numbers is right by chance."""
    original = PhaseTraining._run_evaluation

    def spoil(phase: PhaseTraining, *arguments: Any) -> None:
        original(phase, *arguments)
        if len(phase.epochs) == 1:
            nan = np.array([np.nan, 1.0, 1.0])
            phase._steps.eval_totals.variables[0].assign(nan)

    monkeypatch.setattr(PhaseTraining, "_run_evaluation", spoil)
    head = head_phase(epochs=2, early_stopping_metric="accuracy")
    run = train(settings(phases=(head, fine_tune_phase())), training_data)
    assert run.phases[0].epochs[1].eval_accuracy == 1
    assert run.phases[0].best_epoch == 1


def test_too_little_memory_is_an_error_that_says_what_to_try(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(PhaseTraining, "_train_epoch", fail)
    words = "not enough memory for a batch_size_per_replica of 16; try model.compute.num_micro_batches of 2, which"
    with pytest.raises(ThawError, match=words):
        train(settings(), training_data)
