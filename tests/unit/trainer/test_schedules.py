"""Learning rates over the steps of a phase."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny import head_phase

from trainer.schedules import RateTable, rate, rates_of

NUM_STEPS = 20


def rates(**changes: Any) -> list[float]:
    return list(rates_of(head_phase(learning_rate=0.4, **changes), NUM_STEPS))


def test_a_constant_rate_is_constant() -> None:
    assert rates() == [0.4] * NUM_STEPS


def test_a_cosine_goes_from_the_full_rate_along_half_a_wave_to_nothing() -> None:
    found = rates(schedule="cosine")
    assert found[0] == pytest.approx(0.4)
    assert found[NUM_STEPS // 2] == pytest.approx(0.2)
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < 0.003


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warm_up_rises_in_a_straight_line_to_the_full_rate(schedule: str) -> None:
    found = rates(schedule=schedule, warmup_fraction=0.2)
    np.testing.assert_allclose(found[:5], [0.08, 0.16, 0.24, 0.32, 0.4])
    assert max(found) == found[4]


def test_one_cycle_starts_at_a_25th_peaks_after_a_quarter_and_ends_at_a_10000th() -> None:
    found = rates(schedule="one_cycle")
    assert found[0] == pytest.approx(0.4 / 25)
    assert int(np.argmax(found)) == NUM_STEPS // 4
    assert max(found) == pytest.approx(0.4)
    assert found[-1] == pytest.approx(0.4 / 10_000)
    peak = NUM_STEPS // 4
    assert found[:peak] == sorted(found[:peak])
    assert found[peak:] == sorted(found[peak:], reverse=True)


def test_the_peak_of_one_cycle_lies_where_the_warm_up_ends() -> None:
    assert int(np.argmax(rates(schedule="one_cycle", warmup_fraction=0.5))) == NUM_STEPS // 2


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_a_phase_of_few_steps_has_rates_above_zero(schedule: str, num_steps: int) -> None:
    at = rate(head_phase(schedule=schedule, warmup_fraction=0.5), num_steps)
    assert all(0 < at(step) <= 0.02 for step in range(num_steps))


def test_the_optimizer_gets_the_rates_from_the_iteration_on_that_the_phase_begins_with() -> None:
    values = np.array(rates(schedule="cosine"))
    table = RateTable(values, first_iteration=7)
    found = [float(table(tf.constant(7 + step, tf.int64))) for step in range(NUM_STEPS)]
    assert found == list(values.astype(np.float32))
