"""What a curve of the loss against the learning rate says."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trainer.search.rate_curves import Sweep, is_diverging, read, smooth

RATES = np.geomspace(1e-6, 10, 100)


def sweep_of(loss: Callable[[float], float], noise: float = 0.0, seed: int = 0) -> Sweep:
    """Losses by the power of ten of the rate, with noise."""
    drawn = np.random.default_rng(seed).normal(0, noise, len(RATES)) if noise else np.zeros(len(RATES))
    losses = [loss(math.log10(rate)) + float(more) for rate, more in zip(RATES, drawn, strict=True)]
    return Sweep(tuple(map(float, RATES)), tuple(losses))


def valley(decade: float) -> float:
    """2 up to 1e-4, down to 0.5 at 1e-1, then up steeply."""
    if decade < -4:
        return 2.0
    return 2.0 - 0.5 * (decade + 4) if decade < -1 else 0.5 + 10 * (decade + 1) ** 2


def flat_then_up(decade: float) -> float:
    return 0.4 if decade < -2 else 0.4 + 3 * (decade + 2)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_the_suggestion_lies_halfway_down_the_valley_with_noise_or_without(noise: float) -> None:
    for seed in range(10):
        reading = read(sweep_of(valley, noise, seed))
        assert reading.rule == "valley"
        assert reading.rate is not None
        assert -3.2 < math.log10(reading.rate) < -1.8, f"halfway from 1e-4 to 1e-1 is 3e-3, seed {seed}"


def test_the_steepest_point_lies_where_the_loss_falls_fastest() -> None:
    reading = read(sweep_of(lambda decade: 1.0 - 1.0 / (1 + math.exp(-8 * (decade + 3)))))
    assert reading.steepest == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_where_the_loss_only_rises_a_tenth_of_the_rate_at_which_it_begins_is_suggested(noise: float) -> None:
    reading = read(sweep_of(flat_then_up, noise))
    assert reading.rule == "before_rise"
    assert reading.steepest is None
    assert reading.rate is not None
    assert -3.6 < math.log10(reading.rate) < -2.7, "the rise begins at 1e-2"


def test_a_loss_that_ceases_to_be_a_number_counts_as_a_rise() -> None:
    losses = (0.4,) * 60 + (math.nan,)
    reading = read(Sweep(tuple(map(float, RATES[:61])), losses))
    assert (reading.rule, reading.rate) == ("before_rise", pytest.approx(RATES[60] / 10))


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_flat_curve_suggests_nothing_and_says_so(noise: float) -> None:
    readings = [read(sweep_of(lambda _: 1.1, noise, seed)) for seed in range(50)]
    assert sum(reading.rate is not None for reading in readings) <= 1
    assert "the loss stayed at 1." in readings[0].reason
    assert "at every rate from 1e-06 to 10" in readings[0].reason


@pytest.mark.parametrize("num_good", [0, 5])
def test_a_loss_that_is_no_number_from_the_start_suggests_nothing_and_names_step_and_rate(num_good: int) -> None:
    losses = (1.0,) * num_good + (math.inf,)
    reading = read(Sweep(tuple(map(float, RATES[: num_good + 1])), losses))
    assert reading.rate is None
    assert f"not a number from step {num_good + 1} on" in reading.reason


def test_too_few_steps_suggest_nothing() -> None:
    assert "there were 4 steps only" in read(Sweep(tuple(map(float, RATES[:4])), (1.0,) * 4)).reason


def test_smoothing_shifts_no_step_to_higher_rates() -> None:
    """A running mean, which only looks back, would."""
    smoothed = smooth(sweep_of(lambda decade: 1.0 if decade < -3 else 0.0))
    middle = RATES[int(np.argmin(abs(smoothed - 0.5)))]
    assert middle == pytest.approx(1e-3, rel=0.2)


def test_a_spike_at_the_end_does_not_reach_back() -> None:
    losses = [valley(math.log10(rate)) for rate in RATES[:75]] + [1e6]
    assert smooth(Sweep(tuple(map(float, RATES[:76])), tuple(losses)))[:60].max() < 2.1


def test_a_sweep_ends_when_the_loss_is_four_times_the_best_or_no_number() -> None:
    assert is_diverging([1.0, math.nan])
    assert is_diverging([1.0] * 10 + [10.0] * 5)
    assert not is_diverging([1.0] * 10 + [10.0]), "one bad batch is not the end"
    assert not is_diverging([0.001] * 10 + [0.01] * 5), "ten times next to nothing is next to nothing"
