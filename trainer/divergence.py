"""A phase whose loss ceased to be a number, in words."""

import warnings
from collections.abc import Sequence

from trainer import history, schedules
from trainer.errors import ThawError
from trainer.history import EpochRecord
from trainer.phase_length import PhaseLength
from trainer.phase_settings import PhaseSettings


def warning_or_error(phase: PhaseSettings, length: PhaseLength, epochs: Sequence[EpochRecord], bad_step: int) -> str:
    """Warns, and returns the warning, where there is a good epoch to end the phase with.

    Args:
        phase: that was trained.
        length: of it.
        epochs: those before.
        bad_step: the first step after these epochs, counted from 1, whose loss was no number.

    Raises:
        ThawError: no epoch is good.
    """
    step = length.step_of(len(epochs)) + bad_step
    rate = schedules.rate(phase, length.num_steps)(step - 1)
    unit = length.unit
    what = (
        f"phase {phase.name!r} diverged: in {unit} {len(epochs) + 1}, at step {step} of the phase and "
        f"learning rate {rate:g}, the loss was not a number"
    )
    best = history.best_of(phase, epochs)
    remedy = (
        f"lower its learning_rate ({phase.peak_rate:g}), give it a warmup_fraction or an "
        "optimizer.clip_norm, or look for damaged examples"
    )
    if best is None:
        raise ThawError(f"{what}; {remedy}")
    warning = f"{what}; the phase ends with the weights of {unit} {best}. To train on, {remedy}"
    warnings.warn(warning, stacklevel=3)
    return warning
