"""How long a phase is, and when it is evaluated, in steps."""

import math
from dataclasses import dataclass

from trainer.phase_settings import PhaseSettings


@dataclass(frozen=True)
class PhaseLength:
    """A phase's `epochs`, `steps` and `evaluate_every_steps` on a training split of known size.

    Attributes:
        num_steps: of the whole phase, if nothing ends it early.
        num_steps_per_epoch: steps in which each example is seen once.
        num_steps_between: from one evaluation to the next; the last may come sooner.
    """

    num_steps: int
    num_steps_per_epoch: int
    num_steps_between: int

    @property
    def num_epochs(self) -> int:
        """Passes over the training split that the phase takes examples from; the last may be begun only."""
        return math.ceil(self.num_steps / self.num_steps_per_epoch)

    @property
    def num_evaluations(self) -> int:
        """How often the phase is evaluated if nothing ends it early."""
        return math.ceil(self.num_steps / self.num_steps_between)

    @property
    def unit(self) -> str:
        """What lies between two evaluations, in a word: "epoch", or "stretch" where it is none."""
        is_whole = self.num_steps_between == self.num_steps_per_epoch and not self.num_steps % self.num_steps_per_epoch
        return "epoch" if is_whole else "stretch"

    def step_of(self, evaluation: int) -> int:
        """After how many steps an evaluation comes, counted from 1; 0 is the start of the phase."""
        return min(evaluation * self.num_steps_between, self.num_steps)


def length_of(phase: PhaseSettings, num_steps_per_epoch: int) -> PhaseLength:
    """The length of a phase.

    Args:
        phase: has either epochs or steps.
        num_steps_per_epoch: batches that the training split fills, the last, filled-up one included; at least 1.
    """
    num_steps = phase.steps if phase.steps is not None else (phase.epochs or 0) * num_steps_per_epoch
    return PhaseLength(num_steps, num_steps_per_epoch, phase.evaluate_every_steps or num_steps_per_epoch)
