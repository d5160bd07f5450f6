"""What the learning-rate finder says of every phase of a plan; for `thaw lr` and notebooks."""

from contextlib import closing
from dataclasses import dataclass

import tensorflow as tf

from trainer import progress
from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.history import EpochRecord
from trainer.interruption import StopRequest
from trainer.optimizers import Carried
from trainer.phase_settings import PhaseSettings
from trainer.phase_training import PhaseTraining, Watch, begin
from trainer.search.phase_search import settle
from trainer.search.rate_finder import below_frozen_rates, find_rate
from trainer.search.results import RateSearch
from trainer.settings import ModelSettings
from trainer.stages import Stage, stages_of
from trainer.training_setup import Setup, TrainingData, set_up


@dataclass(frozen=True)
class SurveyedPhase:
    """What the finder says of a phase.

    Attributes:
        phase: as it was trained before the next one, with what was found in the place of "auto".
        configured: the rate as configured: a number or "auto".
        search: what was found.
        suggested: the rate to train with; None where the curve says nothing.
        note: that the rate found was lowered, and why; empty where it was not.
    """

    phase: PhaseSettings
    configured: float | str
    search: RateSearch
    suggested: float | None
    note: str


def survey(
    settings: ModelSettings, data: TrainingData, strategy: tf.distribute.Strategy, cache: Store | NoStore = NO_STORE
) -> tuple[SurveyedPhase, ...]:
    """Searches a rate for each phase of a plan.

    A phase begins with the model that those before have trained, so all but the last are trained as planned, with the
    rates as configured: a shorter training would give the curve of another model. Nothing of it is kept.

    Args:
        settings: the model and its phases; a probe for the baseline is left out, since the phases do not build on it.
        data: transformed examples.
        strategy: devices to train on.
        cache: where activations of frozen layers are kept, shared with trainings.

    Raises:
        ThawError: see `trainer.training.fine_tune`; a phase that others build on, with `learning_rate: auto`, for
            which none can be suggested.
    """
    return tuple(_Survey(set_up(settings, data, strategy, cache)).run())


class _Survey:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._stages = [stage for stage in stages_of(setup.settings) if not stage.is_probe]
        self._trained: list[PhaseSettings] = []
        self._carried: Carried | None = None
        self._stop = StopRequest()

    def run(self) -> list[SurveyedPhase]:
        found = []
        for stage in self._stages:
            found.append(self._survey(stage))
            if stage is not self._stages[-1]:
                self._train(stage, found[-1])
            self._trained.append(found[-1].phase)
        return found

    def _survey(self, stage: Stage) -> SurveyedPhase:
        configured = stage.phase.learning_rate
        carried = self._carried if stage.phase.optimizer.state == "carry" else None
        is_last = stage is self._stages[-1]
        if stage.phase.unfreeze == "auto" or (configured == "auto" and not is_last):
            stage = settle(self._setup, stage, carried, self._trained, self._stop)
        known = stage.search.rate if stage.search is not None else None
        search = known or find_rate(self._setup, stage, carried, self._stop)
        suggested, note = search.rate, ""
        if search.rate is not None:
            suggested, note = below_frozen_rates(search.rate, stage.phase, self._trained)
        return SurveyedPhase(stage.phase, configured, search, suggested, note)

    def _train(self, stage: Stage, surveyed: SurveyedPhase) -> None:
        carried = self._carried if stage.phase.optimizer.state == "carry" else None
        stage = Stage(surveyed.phase, stage.stream, hands_state_on=stage.hands_state_on)
        training = begin(self._setup, stage, carried, PhaseTraining)
        num_evaluations = self._setup.length_of(surveyed.phase).num_evaluations

        def report(record: EpochRecord) -> None:
            note = f"training {record.phase} as planned · eval log loss {record.eval_log_loss:.4f}"
            progress.report(progress.Progress(record.epoch, num_evaluations, "evaluations", note))

        with closing(training):
            training.train(Watch(lambda _: None, report, self._stop))
        self._carried = training.optimizers.carry()
