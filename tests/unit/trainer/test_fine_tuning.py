"""Whole fine-tunings of the small CNN on real digits: what changes in which phase, and what the phase ends with."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny import Weights, changed, fine_tune_phase, head_phase, settings, weights_of

from trainer import progress, training
from trainer.classifier import Classifier
from trainer.devices import make_strategy
from trainer.errors import FreezeContractError, ThawError
from trainer.settings import ModelSettings
from trainer.training import PhaseRecord, TrainingData, fine_tune

pytestmark = pytest.mark.slow

HEAD = ("classifier/head/kernel", "classifier/head/bias")


@dataclass
class Run:
    """What one fine-tuning left behind."""

    model: Classifier
    phases: tuple[PhaseRecord, ...]
    at_start: Weights
    at_baseline: list[Weights]
    at_end: Weights
    notes: list[str] = field(default_factory=list)


def train(plan: ModelSettings, data: TrainingData, num_replicas: int = 1, log_dir: Path | None = None) -> Run:
    at_start: list[Weights] = []
    at_baseline: list[Weights] = []
    reports: list[progress.Progress] = []

    def build(*arguments: object) -> Classifier:
        model = original(*arguments)
        at_start.append(weights_of(model))
        return model

    original = training.build_classifier
    with pytest.MonkeyPatch.context() as patch, progress.listening(reports.append):
        patch.setattr(training, "build_classifier", build)
        model, phases = fine_tune(
            plan,
            data,
            make_strategy(num_replicas),
            on_baseline=lambda model: at_baseline.append(weights_of(model)),
            log_dir=log_dir,
        )
    notes = [f"{report.done}/{report.total} {report.unit}: {report.note}" for report in reports]
    return Run(model, phases, at_start[0], at_baseline, weights_of(model), notes)


@pytest.fixture(scope="module")
def run(training_data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Rates so high that each phase soon gets worse, and ends two epochs after its best."""
    phases = (
        head_phase(epochs=20, learning_rate=2.0, early_stopping_patience=2),
        fine_tune_phase(epochs=20, learning_rate=0.2, early_stopping_patience=2),
    )
    return train(settings(phases=phases), training_data, log_dir=tmp_path_factory.mktemp("logs"))


Digits = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def train_digits(digits: Digits, training_data: TrainingData) -> Digits:
    """What the training split was written from."""
    return tuple(values[: training_data.train.num_examples] for values in digits)


@pytest.fixture(scope="module")
def eval_digits(digits: Digits, training_data: TrainingData) -> Digits:
    first = training_data.train.num_examples
    return tuple(values[first : first + training_data.eval.num_examples] for values in digits)


def score(model: Classifier, weights: Weights, digits: Digits) -> tuple[float, float]:
    """Mean log loss in nats and accuracy, with plain numpy from the backbone's features."""
    for variable in model.weights:
        variable.assign(weights[variable.path])
    pixels, labels = digits
    features = model.backbone(pixels / np.float32(255), training=False).numpy().mean(axis=(1, 2))
    kernel, bias = (weights[path].astype(float) for path in HEAD)
    logits = features @ kernel + bias
    losses = np.log(np.exp(logits - logits[np.arange(len(labels)), labels][:, None]).sum(axis=-1))
    return float(np.mean(losses)), float(np.mean(logits.argmax(axis=-1) == labels))


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


def test_a_phase_whose_loss_is_no_number_is_an_error_that_names_the_learning_rate(
    training_data: TrainingData,
) -> None:
    plan = settings(phases=(head_phase(learning_rate=1e38), fine_tune_phase()))
    with pytest.raises(ThawError, match=r"phase 'head' diverged.*lower its learning_rate \(1e\+38\)"):
        train(plan, training_data)


@pytest.fixture
def drift_in_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """At the end of each epoch, changes the variables that the test appends, on one replica: (path, replica)."""
    planted: list[tuple[str, int]] = []
    original = training._History.on_epoch_end

    def plant(callback: training._History, epoch: int, logs: dict[str, float] | None = None) -> None:
        original(callback, epoch, logs)
        for path, replica in planted:
            (variable,) = (found for found in callback.model.weights if found.path == path)
            component = variable.value.values[replica]
            component.assign(component + 1e-3)

    monkeypatch.setattr(training._History, "on_epoch_end", plant)
    # Restoring the best weights would put the planted change right again.
    monkeypatch.setattr(training, "_best_weights", lambda phase: tf.keras.callbacks.Callback())
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
