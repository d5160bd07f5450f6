"""Whole fine-tunings of the small CNN on real digits: what changes in which phase, and what the phase ends with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import changed, fine_tune_phase, head_phase, settings
from trained import HEAD, Digits, Run, score, train

from trainer.errors import FreezeContractError
from trainer.history import EpochRecord
from trainer.phase_training import PhaseTraining
from trainer.training import TrainingData

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(training_data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Rates so high that each phase soon gets worse, and ends two epochs after its best."""
    phases = (
        head_phase(epochs=20, learning_rate=2.0, early_stopping_patience=2),
        fine_tune_phase(epochs=20, learning_rate=0.2, early_stopping_patience=2),
    )
    return train(settings(phases=phases), training_data, log_dir=tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def plain(training_data: TrainingData) -> Run:
    """What others differ from in one setting."""
    return train(settings(), training_data)


def test_head_phase_leaves_every_backbone_weight_and_statistic_unchanged(run: Run) -> None:
    assert changed(run.at_start, run.at_baseline[0]) == {*HEAD}


def test_second_phase_changes_only_what_is_above_the_boundary_and_no_batch_norm(run: Run) -> None:
    found = changed(run.at_baseline[0], run.at_end)
    assert found == {"block4_conv/kernel", *HEAD}
    assert set(run.phases[1].contract.changed) == found


def test_baseline_is_taken_once_with_the_weights_of_the_head_phases_best_epoch(run: Run, eval_digits: Digits) -> None:
    phase = run.phases[0]
    assert len(run.at_baseline) == 1
    assert phase.best_epoch < len(phase.epochs), "no test of restoring if the last epoch is the best"
    log_loss, accuracy = score(run.model, run.at_baseline[0], eval_digits)
    best = phase.epochs[phase.best_epoch - 1]
    assert log_loss == pytest.approx(best.eval_log_loss, rel=1e-4)
    assert accuracy == pytest.approx(best.eval_accuracy)
    assert best.eval_log_loss == min(epoch.eval_log_loss for epoch in phase.epochs)


def test_second_phase_ends_with_the_best_epoch_of_its_own_even_if_the_head_phase_was_better(
    run: Run, eval_digits: Digits
) -> None:
    phase = run.phases[1]
    assert phase.best_epoch < len(phase.epochs), "no test of restoring if the last epoch is the best"
    log_loss, accuracy = score(run.model, run.at_end, eval_digits)
    best = phase.epochs[phase.best_epoch - 1]
    assert log_loss == pytest.approx(best.eval_log_loss, rel=1e-4)
    assert accuracy == pytest.approx(best.eval_accuracy)


def test_every_epoch_is_reported_with_its_loss_and_accuracy(run: Run) -> None:
    assert [note.split(" · ")[0] for note in run.notes] == [
        *(f"{epoch.epoch}/40 epochs: head {epoch.epoch}/20" for epoch in run.phases[0].epochs),
        *(f"{20 + epoch.epoch}/40 epochs: fine_tune {epoch.epoch}/20" for epoch in run.phases[1].epochs),
    ]
    first = run.phases[0].epochs[0]
    assert f"loss {first.train_loss:.4f} · accuracy {first.train_accuracy:.4f}" in run.notes[0]


def test_contract_report_counts_what_was_frozen(run: Run) -> None:
    num_backbone_variables = len(run.model.backbone.weights)
    head, fine_tuned = (phase.contract for phase in run.phases)
    assert head.num_frozen_variables == num_backbone_variables
    assert fine_tuned.num_frozen_variables == num_backbone_variables - 1
    assert head.num_replicas == 1


def test_metrics_of_an_epoch_equal_a_plain_computation_that_leaves_padding_out(
    training_data: TrainingData, train_digits: Digits, eval_digits: Digits
) -> None:
    still = (head_phase(learning_rate=1e-12), fine_tune_phase(learning_rate=1e-13))
    run = train(settings(phases=still), training_data)
    epoch = run.phases[0].epochs[0]
    for digits, found in (
        (train_digits, (epoch.train_loss, epoch.train_accuracy)),
        (eval_digits, (epoch.eval_log_loss, epoch.eval_accuracy)),
    ):
        assert found == pytest.approx(score(run.model, run.at_start, digits), rel=1e-4)


def test_same_seed_gives_the_same_weights_and_another_seed_others(training_data: TrainingData) -> None:
    first, again = (train(settings(dropout_rate=0.3), training_data) for _ in range(2))
    other = train(settings(dropout_rate=0.3, seed=4), training_data)
    assert not changed(first.at_end, again.at_end)
    assert not changed(first.at_start, again.at_start)
    assert changed(first.at_end, other.at_end)


@pytest.mark.parametrize("num_examples", [52, 5], ids=["ragged last batch", "less than one batch"])
def test_one_and_two_replicas_give_the_same_weights_on_the_same_global_batches(
    num_examples: int, training_data: TrainingData, write_split: object, tmp_path: Path
) -> None:
    data = TrainingData(
        train=write_split(tmp_path / "train", range(num_examples)), eval=training_data.eval, num_classes=3
    )
    one = train(settings(batch_size_per_replica=16), data, num_replicas=1)
    two = train(settings(batch_size_per_replica=8), data, num_replicas=2)
    assert two.phases[1].contract.num_replicas == 2
    assert not changed(one.at_start, two.at_start)
    for path, value in one.at_end.items():
        np.testing.assert_allclose(two.at_end[path], value, atol=2e-4, err_msg=path)
    assert two.phases[1].epochs[0].eval_log_loss == pytest.approx(one.phases[1].epochs[0].eval_log_loss, rel=1e-3)
    assert two.phases[1].epochs[0].train_loss == pytest.approx(one.phases[1].epochs[0].train_loss, rel=1e-3)


def test_what_happens_to_an_image_does_not_depend_on_the_replica_that_it_lies_on(training_data: TrainingData) -> None:
    augmentation = {"horizontal_flip": True, "vertical_flip": True, "min_crop_fraction": 0.5, "colour_strength": 0.3}
    phases = (head_phase(epochs=2, augmentation=augmentation), fine_tune_phase())
    one = train(settings(phases=phases, batch_size_per_replica=16), training_data, num_replicas=1)
    two = train(settings(phases=phases, batch_size_per_replica=8), training_data, num_replicas=2)
    plain = train(settings(phases=(head_phase(epochs=2), fine_tune_phase())), training_data)
    (path, _) = HEAD
    np.testing.assert_allclose(two.at_baseline[0][path], one.at_baseline[0][path], atol=2e-4)
    assert np.abs(plain.at_baseline[0][path] - one.at_baseline[0][path]).max() > 1e-3


@pytest.mark.parametrize(
    "augmentation",
    [{"rand_augment": {}}, {"erasing_probability": 0.5}, {"mix_up_alpha": 0.4, "cut_mix_alpha": 1.0}],
    ids=str,
)
def test_every_augmentation_runs_within_a_training_step(
    augmentation: dict[str, Any], training_data: TrainingData, plain: Run
) -> None:
    run = train(settings(phases=(head_phase(augmentation=augmentation), fine_tune_phase())), training_data)
    assert run.phases[0].epochs[0].train_loss != plain.phases[0].epochs[0].train_loss


def test_the_best_epoch_is_chosen_by_the_metric_that_was_asked_for(training_data: TrainingData) -> None:
    head = head_phase(epochs=8, learning_rate=0.3, early_stopping_metric="accuracy")
    run = train(settings(phases=(head, fine_tune_phase())), training_data)
    accuracies = [epoch.eval_accuracy for epoch in run.phases[0].epochs]
    assert run.phases[0].best_epoch == 1 + accuracies.index(max(accuracies))


def test_with_an_average_epochs_are_judged_by_it_and_the_phase_ends_with_it(
    training_data: TrainingData, eval_digits: Digits
) -> None:
    phases = (head_phase(epochs=3, learning_rate=0.5), fine_tune_phase())
    averaged = train(settings(ema_decay=0.9, phases=phases), training_data)
    plain = train(settings(phases=phases), training_data)
    first, second = averaged.phases[0], plain.phases[0]
    assert [epoch.train_loss for epoch in first.epochs] == [epoch.train_loss for epoch in second.epochs]
    assert first.epochs[0].eval_log_loss != second.epochs[0].eval_log_loss
    best = first.epochs[first.best_epoch - 1]
    assert score(averaged.model, averaged.at_baseline[0], eval_digits)[0] == pytest.approx(best.eval_log_loss, rel=1e-4)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_phase_that_adapts_statistics_ends_with_those_of_its_best_epoch(
    num_replicas: int, training_data: TrainingData, eval_digits: Digits
) -> None:
    adapting = fine_tune_phase(epochs=4, learning_rate=0.3, batch_norm="adapt", allow_higher_learning_rate=True)
    plan = settings(phases=(head_phase(), adapting), batch_size_per_replica=16 // num_replicas)
    run = train(plan, training_data, num_replicas)
    phase = run.phases[1]
    assert "block4_batch_norm/moving_variance" in phase.contract.changed
    assert phase.best_epoch < len(phase.epochs), "no test of restoring if the last epoch is the best"
    best = phase.epochs[phase.best_epoch - 1]
    assert score(run.model, run.at_end, eval_digits)[0] == pytest.approx(best.eval_log_loss, rel=1e-3)


def test_statistics_are_estimated_anew_after_the_phase_and_the_result_is_judged_once_more(
    training_data: TrainingData, eval_digits: Digits
) -> None:
    run = train(settings(phases=(head_phase(), fine_tune_phase(batch_norm="recalibrate"))), training_data)
    phase = run.phases[1]
    assert "block4_batch_norm/moving_mean" in phase.contract.changed
    assert phase.recalibrated is not None
    assert phase.recalibrated.loss != phase.epochs[0].eval_log_loss
    assert (phase.warning is not None) == (phase.recalibrated.loss > phase.epochs[0].eval_log_loss)
    found = (phase.recalibrated.loss, phase.recalibrated.accuracy)
    assert score(run.model, run.at_end, eval_digits) == pytest.approx(found, rel=1e-3)


def test_rates_of_the_schedule_are_in_the_record(training_data: TrainingData) -> None:
    head = head_phase(epochs=2, schedule="cosine")
    run = train(settings(phases=(head, fine_tune_phase())), training_data)
    (first,), (second,) = (epoch.learning_rates.values() for epoch in run.phases[0].epochs)
    assert first == pytest.approx(0.02 * (1 + np.cos(np.pi * 3 / 8)) / 2)
    assert second == pytest.approx(0.02 * (1 + np.cos(np.pi * 7 / 8)) / 2)


def test_rare_classes_count_more_when_classes_are_balanced(training_data: TrainingData, plain: Run) -> None:
    balanced = train(settings(loss={"class_weights": "balanced"}), training_data)
    assert changed(plain.at_baseline[0], balanced.at_baseline[0]) == {*HEAD}


@pytest.fixture
def drift_in_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """At the end of each epoch, changes the variables that the test appends, on one replica: (path, replica)."""
    planted: list[tuple[str, int]] = []
    original = PhaseTraining._evaluate

    def plant(phase: PhaseTraining, *arguments: Any) -> EpochRecord:
        record = original(phase, *arguments)
        for path, replica in planted:
            (variable,) = (found for found in phase._setup.model.weights if found.path == path)
            component = variable.value.values[replica]
            component.assign(component + 1e-3)
        return record

    monkeypatch.setattr(PhaseTraining, "_evaluate", plant)
    yield planted


def test_a_frozen_variable_that_moves_on_one_replica_fails_the_run(
    training_data: TrainingData, drift_in_training: list[tuple[str, int]]
) -> None:
    drift_in_training.append(("block1_batch_norm/moving_mean", 1))
    with pytest.raises(FreezeContractError, match=r"phase 'head' changed 1 variables.*block1_batch_norm/moving_mean"):
        train(settings(batch_size_per_replica=8), training_data, num_replicas=2)


def test_an_early_stop_ends_the_phase_before_its_last_epoch(training_data: TrainingData) -> None:
    patient = head_phase(epochs=6, learning_rate=2.0, early_stopping_patience=1)
    run = train(settings(phases=(patient, fine_tune_phase())), training_data)
    phase = run.phases[0]
    assert len(phase.epochs) < 6
    assert phase.best_epoch == len(phase.epochs) - 1


@pytest.mark.slow
def test_seed_zero_is_a_seed_like_any_other(training_data: TrainingData) -> None:
    assert train(settings(seed=0), training_data).phases[1].epochs
