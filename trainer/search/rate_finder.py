"""The search for a phase's learning rate: its first steps, at rising rates, several times over."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from statistics import median_low
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import progress, replicas
from trainer.activation_cache.wanted import Planned
from trainer.interruption import StopAsked, StopRequest
from trainer.optimizers import Carried
from trainer.phase_feed import augmentation_seed
from trainer.phase_settings import PhaseSettings
from trainer.phase_training import PhaseTraining, begin
from trainer.search.rate_curves import Reading, Sweep, is_diverging, read
from trainer.search.results import RateSearch
from trainer.stages import Stage
from trainer.training_setup import Setup

# fastai's are 1e-7, 10 and 100; at 1e-7 nothing happens that 1e-6 would not show.
LOWEST_RATE, HIGHEST_RATE, NUM_STEPS = 1e-6, 10.0, 100
# A small training split is not gone through more often than that, but this many steps a curve must have.
_MAX_EPOCHS, _MIN_STEPS = 10, 40
NUM_SWEEPS = 3
# The seeds of sweeps lie that far apart, so that their orders of examples are not those of other phases.
_BETWEEN_SEEDS = 7_919
# Of the lowest rate of the frozen phases before: what a found rate is lowered to where it is not below that; fastai's
# fine_tune halves the rate, too, when it unfreezes.
_SHARE_OF_FROZEN_RATE = 0.5


def num_steps_of(num_steps_per_epoch: int) -> int:
    """How many steps a sweep has at most, on a training split of that many batches."""
    return max(_MIN_STEPS, min(NUM_STEPS, _MAX_EPOCHS * num_steps_per_epoch))


def find_rate(setup: Setup, stage: Stage, carried: Carried | None, stop: StopRequest) -> RateSearch:
    """Trains the first steps of a phase at rising rates, and reads from the loss which one to train at.

    What trains, optimizer, augmentation and loss are the phase's; the rate rises in place of its schedule. Each sweep
    starts from the model as it is. Afterwards all variables have the values that they had before, random states
    included.

    Args:
        setup: with the model as it is at the beginning of the phase.
        stage: its `learning_rate` is not looked at.
        carried: what the phase takes over of its optimizer's state, or None.
        stop: asked after each step.

    Raises:
        StopAsked: `stop` says so; the model is as before, too.
    """
    num_steps = num_steps_of(setup.data.train.num_batches(setup.global_batch_size))
    length = {"epochs": None, "steps": num_steps, "evaluate_every_steps": None}
    swept = replace(stage, phase=stage.phase.model_copy(update=length))
    seed = augmentation_seed(setup.settings, stage)
    also = [*[Planned(swept.phase, seed)] * (NUM_SWEEPS - 1), Planned(stage.phase, seed)]
    with leaving_no_trace(setup), closing(begin(setup, swept, carried, _Sweeping, also)) as sweeping:
        return summarize(sweeping.sweeps(stop))


def summarize(sweeps: Sequence[Sweep]) -> RateSearch:
    """What several sweeps say together: the median of their suggestions, if most have one."""
    readings = [read(sweep) for sweep in sweeps]
    found = [reading for reading in readings if reading.rate is not None]
    if 2 * len(found) <= len(readings):
        (reason, *_) = [reading.reason for reading in readings if reading.rate is None]
        return RateSearch(tuple(sweeps), reason=reason)
    rates = [reading.rate for reading in found if reading.rate is not None]
    taken = next(reading for reading in found if reading.rate == median_low(rates))
    steepest = [reading.steepest for reading in found if reading.steepest is not None]
    return RateSearch(
        tuple(sweeps),
        rule=taken.rule,
        rate=_two_digits(_rate_of(taken)),
        lowest=_two_digits(min(rates)),
        highest=_two_digits(max(rates)),
        steepest=_two_digits(median_low(steepest)) if steepest else None,
    )


def below_frozen_rates(rate: float, phase: PhaseSettings, earlier: Sequence[PhaseSettings]) -> tuple[float, str]:
    """Lowers a found rate that is not below those of earlier, wholly frozen phases, and says so.

    Args:
        rate: that was found for the phase.
        phase: which may allow it.
        earlier: the phases before, with the rates that they were trained at.

    Returns:
        The rate, and a note; an empty one where the rate stays.
    """
    frozen = {before.name: before.peak_rate for before in earlier if before.is_frozen}
    if phase.is_frozen or phase.allow_higher_learning_rate or not frozen or rate < min(frozen.values()):
        return rate, ""
    name, lowest = min(frozen.items(), key=lambda item: item[1])
    lowered = _two_digits(_SHARE_OF_FROZEN_RATE * lowest)
    return lowered, (
        f"the rate found for phase {phase.name!r}, {rate:g}, is not below the {lowest:g} of the frozen phase {name!r}, "
        f"and was lowered to {lowered:g}; `allow_higher_learning_rate: true` would keep it"
    )


@contextmanager
def leaving_no_trace(setup: Setup) -> Iterator[None]:
    """After the block all variables of the model have the values from before it, on each replica."""
    named = replicas.name_components("model", setup.model.variables)
    before = replicas.read(named)
    try:
        yield
    finally:
        replicas.write(named, before)


class _Sweeping(PhaseTraining):
    """A phase whose rate rises from the first step to the last, and which is begun again and again."""

    _number = 0

    def _rates(self) -> np.ndarray[Any, Any]:
        return np.geomspace(LOWEST_RATE, HIGHEST_RATE, self._length.num_steps)

    @property
    def _seed_of_order(self) -> int:
        return super()._seed_of_order + _BETWEEN_SEEDS * self._number

    def sweeps(self, stop: StopRequest) -> list[Sweep]:
        """The sweeps, each from the state as it is now."""
        start, digests = self.arrays(), tuple(self.digests_before.values())
        self.batches.check = _stopping(stop)
        found = []
        for self._number in range(NUM_SWEEPS):
            self.restore(0, (), digests, start)
            found.append(self._sweep(stop))
        return found

    def _sweep(self, stop: StopRequest) -> Sweep:
        totals, batches = self._steps.train_totals, self._batches()
        losses: list[float] = []
        while self.step < self._length.num_steps and not (losses and is_diverging(losses)):
            totals.reset()
            try:
                self._steps.train(batches)
            except tf.errors.OpError:
                if not self.batches.mend():
                    raise
                batches = self._batches()
                continue
            self.step += 1
            losses.append(totals.summary().loss)
            self._report()
            self.batches.check()
        return Sweep(tuple(map(float, self._rates()[: len(losses)])), tuple(losses))

    def _report(self) -> None:
        note = f"searching the learning rate of {self.phase.name}, sweep {self._number + 1} of {NUM_SWEEPS}"
        progress.report(progress.Progress(self.step, self._length.num_steps, "steps", note))


def _stopping(stop: StopRequest) -> Callable[[], None]:
    def check() -> None:
        if stop.is_set:
            raise StopAsked

    return check


def _rate_of(reading: Reading) -> float:
    assert reading.rate is not None
    return reading.rate


def _two_digits(rate: float) -> float:
    return float(f"{rate:.2g}")
