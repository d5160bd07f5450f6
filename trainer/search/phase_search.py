"""What a phase leaves open, found before it trains."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from trainer.errors import ThawError
from trainer.interruption import StopRequest
from trainer.optimizers import Carried
from trainer.phase_settings import PhaseSettings
from trainer.search.depth_finder import find_depth, with_boundary
from trainer.search.rate_finder import below_frozen_rates, find_rate
from trainer.search.results import DepthSearch, PhaseSearch, RateSearch
from trainer.stages import Stage
from trainer.training_setup import Setup


def settle(
    setup: Setup, stage: Stage, carried: Carried | None, earlier: Sequence[PhaseSettings], stop: StopRequest
) -> Stage:
    """Puts what is found in the place of each "auto" of a phase; the model is left as it was.

    Where both are open, each freeze boundary is tried with a rate that was searched for it.

    Args:
        setup: with the model as it is at the beginning of the phase.
        stage: the phase as configured.
        carried: what it takes over of its optimizer's state, or None.
        earlier: the phases before, as they were trained.
        stop: asked after each step.

    Returns:
        The stage, with what was found in its `search`; as it was, where nothing is open.

    Raises:
        StopAsked: `stop` says so.
        ThawError: no rate can be suggested; every boundary's trial diverged.
    """
    rates: dict[str, tuple[RateSearch, str]] = {}

    reasons: list[str] = []

    def with_rate(phase: PhaseSettings) -> PhaseSettings | None:
        if phase.learning_rate != "auto":
            return phase
        found = find_rate(setup, replace(stage, phase=phase), carried, stop)
        if found.rate is None:
            reasons.append(found.reason)
            return None
        rate, note = below_frozen_rates(found.rate, phase, earlier)
        rates[str(phase.unfreeze)] = found, note
        return phase.model_copy(update={"learning_rate": rate})

    phase, depth = stage.phase, None
    settled: PhaseSettings | None
    if phase.unfreeze == "auto":
        depth = find_depth(setup, stage, carried, with_rate, stop)
        settled = _with_best(phase, depth) if depth is not None else None
    else:
        settled = with_rate(phase)
    if settled is None:
        raise ThawError(
            f"phase {phase.name!r} has `learning_rate: auto`, but no rate can be suggested: {reasons[0]}; "
            "state its learning_rate"
        )
    return _noted(stage, settled, depth, rates.get(str(settled.unfreeze)), earlier)


def _with_best(phase: PhaseSettings, depth: DepthSearch) -> PhaseSettings:
    chosen = depth.trials[depth.chosen]
    return with_boundary(phase, chosen.unfreeze).model_copy(update={"learning_rate": chosen.learning_rate})


def _noted(
    stage: Stage,
    settled: PhaseSettings,
    depth: DepthSearch | None,
    found: tuple[RateSearch, str] | None,
    earlier: Sequence[PhaseSettings],
) -> Stage:
    rate, note = found or (None, _stated_too_high(settled, earlier))
    if note:
        warnings.warn(note, stacklevel=2)
    if rate is None and depth is None and not note:
        return stage
    settled = settled.model_copy(update={"trial_steps": None})
    return replace(stage, phase=settled, search=PhaseSearch(rate, depth, note))


def _stated_too_high(phase: PhaseSettings, earlier: Sequence[PhaseSettings]) -> str:
    """Of a stated rate, which is used as it is: configurations are checked among themselves only."""
    _, note = below_frozen_rates(phase.peak_rate, phase, earlier)
    if not note:
        return ""
    lowest = min(before.peak_rate for before in earlier if before.is_frozen)
    return (
        f"phase {phase.name!r} unfreezes the backbone at its stated learning_rate of {phase.peak_rate:g}, which is not "
        f"below the {lowest:g} that was found for a frozen phase; lower it"
    )
