"""Plans of any order of phases: where their baseline comes from, and phases that are counted in steps."""

from typing import Any

import pytest
from tiny import changed, fine_tune_phase, head_phase, settings
from trained import HEAD, train

from trainer.phase_length import PhaseLength, length_of
from trainer.settings import ModelSettings, PhaseSettings
from trainer.training import TrainingData

NUM_STEPS_PER_EPOCH = 4
MOVED = {"block4_conv/kernel", *HEAD}


def probe(**changes: Any) -> PhaseSettings:
    return head_phase(**{"name": "probe", "epochs": 2, **changes})


def plan(**changes: Any) -> ModelSettings:
    """Unfrozen from the start, with everything that draws or has a state."""
    augmentation = {"horizontal_flip": True, "mix_up_alpha": 0.2}
    phases = (fine_tune_phase(epochs=2, augmentation=augmentation), fine_tune_phase(name="again", augmentation={}))
    return settings(**{"phases": phases, "dropout_rate": 0.3, "ema_decay": 0.9, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_probe_leaves_the_training_after_it_as_it_would_be_without(
    num_replicas: int, training_data: TrainingData
) -> None:
    batch_size = 16 // num_replicas
    without = train(plan(baseline="none", batch_size_per_replica=batch_size), training_data, num_replicas)
    run = train(plan(probe=probe(), batch_size_per_replica=batch_size), training_data, num_replicas)
    assert [phase.settings.name for phase in run.phases] == ["probe", "fine_tune", "again"]
    assert not changed(without.at_end, run.at_end)
    assert without.phases == run.phases[1:]
    assert without.at_baseline == []


@pytest.mark.slow
def test_the_baseline_of_a_plan_without_a_frozen_phase_is_a_head_on_the_untouched_backbone(
    training_data: TrainingData,
) -> None:
    run = train(plan(probe=probe()), training_data)
    (baseline,) = run.at_baseline
    assert changed(run.at_start, baseline) == {*HEAD}
    assert changed(run.at_start, run.at_end) == MOVED


@pytest.mark.slow
def test_a_probe_sees_the_examples_in_an_order_of_its_own(training_data: TrainingData) -> None:
    """And leaves out others: with Dropout and the order of the first phase, its losses would be that phase's."""
    phases = (head_phase(epochs=2), fine_tune_phase())
    run = train(settings(phases=phases, baseline="probe", probe=probe()), training_data)
    first, second = run.phases[:2]
    assert run.phases[0].trainable == run.phases[1].trainable
    assert [epoch.train_loss for epoch in first.epochs] != [epoch.train_loss for epoch in second.epochs]


@pytest.mark.slow
def test_a_probe_that_is_asked_for_gives_the_baseline_in_place_of_the_frozen_phase(training_data: TrainingData) -> None:
    run = train(settings(baseline="probe", probe=probe(epochs=3)), training_data)
    plain = train(settings(), training_data)
    assert len(run.at_baseline) == 1
    assert changed(run.at_baseline[0], plain.at_baseline[0]) == {*HEAD}
    assert not changed(run.at_end, plain.at_end)


@pytest.mark.slow
def test_a_frozen_phase_after_an_unfrozen_one_gives_no_baseline(training_data: TrainingData) -> None:
    """Its backbone is fine-tuned already: compared with it, fine-tuning would seem to gain nothing."""
    plan = settings(phases=(head_phase(), head_phase(name="longer"), fine_tune_phase(), head_phase(name="refit")))
    assert plan.baseline_phase == "longer"
    run = train(plan, training_data)
    (baseline,) = run.at_baseline
    assert changed(run.at_start, baseline) == {*HEAD}
    assert set(run.phases[3].contract.changed) == {*HEAD}
    unfrozen_first = settings(phases=(fine_tune_phase(), head_phase()))
    assert unfrozen_first.baseline_phase == "probe"


@pytest.mark.slow
def test_a_plan_that_never_unfreezes_is_its_own_baseline_and_says_so(training_data: TrainingData) -> None:
    with pytest.warns(UserWarning, match="the result is its own frozen-only baseline, its gain over it is 0"):
        run = train(settings(phases=(head_phase(),)), training_data)
    assert not changed(run.at_baseline[0], run.at_end)


@pytest.mark.slow
def test_steps_that_make_up_whole_epochs_train_what_epochs_train(training_data: TrainingData) -> None:
    schedule = {"schedule": "one_cycle"}
    by_epochs = train(settings(phases=(head_phase(epochs=2, **schedule), fine_tune_phase())), training_data)
    head = head_phase(epochs=None, steps=2 * NUM_STEPS_PER_EPOCH, **schedule)
    by_steps = train(settings(phases=(head, fine_tune_phase(epochs=None, steps=4))), training_data)
    assert not changed(by_epochs.at_end, by_steps.at_end)
    assert [phase.epochs for phase in by_epochs.phases] == [phase.epochs for phase in by_steps.phases]


@pytest.mark.slow
def test_a_phase_of_steps_may_be_shorter_than_an_epoch_and_is_evaluated_when_it_says(
    training_data: TrainingData,
) -> None:
    head = head_phase(epochs=None, steps=10, evaluate_every_steps=3, schedule="cosine")
    run = train(settings(phases=(head, fine_tune_phase(epochs=None, steps=2))), training_data)
    assert [epoch.step for epoch in run.phases[0].epochs] == [3, 6, 9, 10]
    assert [epoch.step for epoch in run.phases[1].epochs] == [2]
    last = run.phases[0].epochs[-1].learning_rates["head"]
    assert last == pytest.approx(0.02 * 0.02447, rel=1e-3), "the schedule ends with the phase: (1 + cos(0.9 π)) / 2"
    assert [note.split(" · ")[0] for note in run.notes] == [
        "1/5 evaluations: head step 3/10",
        "2/5 evaluations: head step 6/10",
        "3/5 evaluations: head step 9/10",
        "4/5 evaluations: head step 10/10",
        "5/5 evaluations: fine_tune step 2/2",
    ]


@pytest.mark.slow
def test_how_often_a_phase_is_evaluated_changes_no_weight_if_the_last_evaluation_is_the_best(
    training_data: TrainingData,
) -> None:
    """The evaluation itself is no part of the training."""
    often, once = (
        train(
            settings(
                phases=(
                    head_phase(learning_rate=0.001, evaluate_every_steps=every),
                    fine_tune_phase(learning_rate=1e-4),
                )
            ),
            training_data,
        )
        for every in (1, None)
    )
    assert often.phases[0].best_epoch == NUM_STEPS_PER_EPOCH, "no test if an earlier one is kept"
    assert not changed(often.at_end, once.at_end)


@pytest.mark.slow
def test_patience_counts_evaluations(training_data: TrainingData) -> None:
    head = head_phase(epochs=20, evaluate_every_steps=2, learning_rate=2.0, early_stopping_patience=2)
    phase = train(settings(phases=(head, fine_tune_phase())), training_data).phases[0]
    assert len(phase.epochs) == phase.best_epoch + 2
    assert phase.epochs[-1].step == 2 * len(phase.epochs) < 20 * NUM_STEPS_PER_EPOCH


def test_lengths_are_counted_in_steps() -> None:
    assert length_of(head_phase(epochs=3), 4) == PhaseLength(12, 4, 4)
    odd = length_of(head_phase(epochs=None, steps=11, evaluate_every_steps=5), 4)
    assert (odd.num_epochs, odd.num_evaluations, odd.unit) == (3, 3, "stretch")
    assert [odd.step_of(number) for number in range(4)] == [0, 5, 10, 11]
    assert length_of(head_phase(epochs=None, steps=8), 4).unit == "epoch"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": None}, "give exactly one of epochs and steps, how long the phase is at most; found neither"),
        ({"steps": 5}, "found epochs 1 and steps 5"),
        ({"epochs": None, "steps": 5, "evaluate_every_steps": 6}, "evaluate_every_steps is 6, but the phase has 5"),
    ],
)
def test_a_phase_without_a_length_or_with_two_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        head_phase(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probe": probe()}, "probe is given, but the plan begins with the frozen phase 'head', which gives the"),
        ({"probe": probe(), "baseline": "none"}, "probe is given, but baseline is none, so none is trained"),
        ({"baseline": "probe", "phases": (head_phase(),)}, "the probe would be the same again with other random"),
        ({"baseline": "probe", "probe": fine_tune_phase(name="p")}, "the probe 'p' unfreezes the backbone"),
        ({"baseline": "probe", "probe": head_phase()}, "the probe and a phase are both named 'head'"),
        ({"baseline": "probe", "probe": probe(optimizer={"state": "carry"})}, "the probe has optimizer.state carry"),
    ],
)
def test_a_probe_that_makes_no_sense_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changes)


def test_a_plan_shows_the_probe_that_it_trains_and_reads_back_the_same() -> None:
    shown = settings(phases=(fine_tune_phase(),))
    assert shown.probe is not None
    assert shown.probe.early_stopping_patience == 5
    assert ModelSettings.model_validate_json(shown.model_dump_json()) == shown
    assert settings().probe is None
