"""Whether the phases of a plan go together, and where its baseline comes from."""

from itertools import takewhile
from typing import Literal

from trainer.phase_settings import PhaseSettings

Phases = tuple[PhaseSettings, ...]

Baseline = Literal["auto", "probe", "none"]


def leading_frozen_phases(phases: Phases) -> Phases:
    """The wholly frozen phases before any that unfreezes; after it, the backbone is no longer what it was."""
    return tuple(takewhile(lambda phase: phase.is_frozen, phases))


def needs_probe(phases: Phases, baseline: Baseline) -> bool:
    """Whether the baseline is not to be had from the phases themselves."""
    return baseline == "probe" or (baseline == "auto" and not leading_frozen_phases(phases))


def default_probe() -> PhaseSettings:
    """The probe of a plan that does not describe its own.

    A baseline that is trained too little would let anything pass that is trained more; so the rate is high, as a linear
    head bears it, and the end comes when five epochs in a row were no better.
    """
    return PhaseSettings(name="probe", epochs=50, learning_rate=0.003, early_stopping_patience=5)


def check_baseline(phases: Phases, baseline: Baseline, probe: PhaseSettings | None) -> None:
    """Raises ValueError where there is a probe that has no use, or none where one is needed."""
    if baseline == "probe" and all(phase.is_frozen for phase in phases):
        raise ValueError(
            "baseline is probe, but no phase unfreezes the backbone, so the probe would be the same again with other "
            "random numbers, and the difference luck; leave baseline out"
        )
    if probe is not None and not needs_probe(phases, baseline):
        raise ValueError(
            f"probe is given, but the plan begins with the frozen phase {phases[0].name!r}, which gives the baseline, "
            "so none is trained; leave it out, or state `baseline: probe`"
            if baseline == "auto"
            else "probe is given, but baseline is none, so none is trained; leave it out"
        )
    if probe is None:
        return
    if not probe.is_frozen:
        raise ValueError(
            f"the probe {probe.name!r} unfreezes the backbone; it gives the frozen-only baseline: leave it out"
        )
    if probe.name in {phase.name for phase in phases}:
        raise ValueError(f"the probe and a phase are both named {probe.name!r}; give the probe a name of its own")
    if probe.optimizer.state == "carry":
        raise ValueError("the probe has optimizer.state carry, but there is no phase before it; leave it out")


def check_phases(phases: Phases) -> None:
    """Raises ValueError where two phases have the same name, or one contradicts those before it."""
    _check_names(phases)
    _check_learning_rates(phases)
    _check_carried_state(phases)


def _check_names(phases: Phases) -> None:
    names = [phase.name for phase in phases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"phases have the same name: {', '.join(twice)}; give each a name of its own")


def _check_learning_rates(phases: Phases) -> None:
    for index, phase in enumerate(phases):
        if phase.is_frozen or phase.allow_higher_learning_rate:
            continue
        for earlier in phases[:index]:
            if "auto" in (phase.learning_rate, earlier.learning_rate):  # seen to when it has been found
                continue
            if earlier.is_frozen and phase.peak_rate >= earlier.peak_rate:
                raise ValueError(
                    f"phase {phase.name!r} unfreezes the backbone at learning_rate {phase.peak_rate:g}, which is "
                    f"not below the {earlier.peak_rate:g} of phase {earlier.name!r}; lower it, or state "
                    "`allow_higher_learning_rate: true` if it is on purpose"
                )


def _check_carried_state(phases: Phases) -> None:
    for before, phase in zip((None, *phases), phases, strict=False):
        if phase.optimizer.state == "fresh":
            continue
        if before is None:
            raise ValueError(
                f"the first phase, {phase.name!r}, has optimizer.state carry, but there is no phase before it; leave "
                "it out"
            )
        if (before.optimizer.name == "sgd") != (phase.optimizer.name == "sgd"):
            raise ValueError(
                f"phase {phase.name!r} has optimizer.state carry, but its {phase.optimizer.name} has no use for the "
                f"state of {before.optimizer.name} in phase {before.name!r}; use the same optimizer, or fresh"
            )
