"""What is said of a phase whose loss ceases to be a number."""

import warnings
from collections.abc import Sequence

from trainer import history, schedules
from trainer.errors import ThawError
from trainer.history import EpochRecord
from trainer.phase_length import PhaseLength
from trainer.phase_settings import PhaseSettings


def explain(phase: PhaseSettings, length: PhaseLength, epochs: Sequence[EpochRecord], bad_step: int) -> str:
    """Warns, with the step, the rate and what to do, and returns the words.

    Args:
        phase: that diverged.
        length: of the phase.
        epochs: those before.
        bad_step: the first step since the last of them whose loss was no number, counted from 1.

    Raises:
        ThawError: no epoch before was good.
    """
    step = length.step_of(len(epochs)) + bad_step
    rate = schedules.rate(phase, length.num_steps)(step - 1)
    what = (
        f"phase {phase.name!r} diverged: in {length.unit} {len(epochs) + 1}, at step {step} of the phase and "
        f"learning rate {rate:g}, the loss was not a number"
    )
    best = history.best_of(phase, epochs)
    remedy = (
        f"lower its learning_rate ({phase.peak_rate:g}), give it a warmup_fraction or an "
        "optimizer.clip_norm, or look for damaged examples"
    )
    if best is None:
        raise ThawError(f"{what}; {remedy}")
    warning = f"{what}; the phase ends with the weights of {length.unit} {best}. To train on, {remedy}"
    warnings.warn(warning, stacklevel=3)
    return warning
