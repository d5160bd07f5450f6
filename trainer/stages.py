"""What a training goes through: the phases of the plan, and before them, where there is one, the probe."""

from dataclasses import dataclass

from trainer.phase_settings import PhaseSettings
from trainer.search.results import PhaseSearch
from trainer.settings import ModelSettings

# Of the probe's random numbers: no phase of a plan has so high a number, and a phase's number is its stream.
_PROBE_STREAM = 1_000_000


@dataclass(frozen=True)
class Stage:
    """One phase as it is trained.

    Attributes:
        phase: its settings.
        stream: what the order of examples and the augmentation are seeded with, beside the training's seed; no two
            stages share one.
        is_probe: it trains a head for the baseline only; afterwards the model is as it was before.
        gives_baseline: the model as it is at its end is the baseline.
        hands_state_on: the next stage takes the optimizer's state over.
        search: what was found for the phase before it trains, and stands in `phase`; None where nothing was searched.
    """

    phase: PhaseSettings
    stream: int
    is_probe: bool = False
    gives_baseline: bool = False
    hands_state_on: bool = False
    search: PhaseSearch | None = None


def stages_of(settings: ModelSettings) -> tuple[Stage, ...]:
    """The stages in the order of training."""
    phases = settings.phases
    stages = [
        Stage(
            phase,
            stream=index,
            gives_baseline=phase.name == settings.baseline_phase,
            hands_state_on=any(following.optimizer.state == "carry" for following in phases[index + 1 : index + 2]),
        )
        for index, phase in enumerate(phases)
    ]
    if settings.probe is None:
        return tuple(stages)
    return (Stage(settings.probe, _PROBE_STREAM, is_probe=True, gives_baseline=True), *stages)
