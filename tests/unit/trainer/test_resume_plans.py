"""That a training which is killed in its probe, or in a phase of steps, ends as an undisturbed one."""

import random
from pathlib import Path

import pytest
from deaths import assert_same, train, train_through_deaths
from tiny import fine_tune_phase, head_phase, settings

from trainer.settings import ModelSettings
from trainer.training import TrainingData

pytestmark = pytest.mark.slow

NUM_PROBE_STEPS, NUM_STEPS = 8, 8 + 7 + 4


def plan() -> ModelSettings:
    """A probe of two epochs of four steps, a phase of seven steps in stretches of three, and one of an epoch."""
    first = fine_tune_phase(epochs=None, steps=7, evaluate_every_steps=3, augmentation={"mix_up_alpha": 0.2})
    return settings(
        phases=(first, fine_tune_phase(name="again", optimizer={"state": "carry"})),
        probe=head_phase(name="probe", epochs=2),
        dropout_rate=0.3,
        ema_decay=0.9,
        checkpoint_every_steps=2,
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_training_killed_in_its_probe_and_in_a_phase_of_steps_ends_bit_identical(
    seed: int, training_data: TrainingData, die_at: list[int], tmp_path: Path
) -> None:
    undisturbed = train(training_data, None, plan())
    draw = random.Random(seed)
    in_probe = NUM_STEPS + draw.randint(1, NUM_PROBE_STEPS)  # the counter began with the training above
    die_at.extend([in_probe, in_probe + draw.randint(1, NUM_STEPS - NUM_PROBE_STEPS)])
    outcome, num_deaths = train_through_deaths(training_data, tmp_path, plan())
    assert num_deaths == 2
    assert_same(outcome, undisturbed)


def test_a_training_killed_at_the_last_step_of_its_probe_begins_the_phases_with_the_first_weights(
    training_data: TrainingData, die_at: list[int], tmp_path: Path
) -> None:
    undisturbed = train(training_data, None, plan())
    die_at.extend([NUM_STEPS + NUM_PROBE_STEPS, NUM_STEPS + NUM_PROBE_STEPS + 1])
    outcome, num_deaths = train_through_deaths(training_data, tmp_path, plan())
    assert num_deaths == 2
    assert_same(outcome, undisturbed)
