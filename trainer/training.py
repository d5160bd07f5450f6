"""Fine-tuning: the phases of a plan, one after the other, with the baseline taken on the way or by a probe."""

import logging
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from trainer import (
    compilation,
    compute,
    epoch_progress,
    freeze_contract,
    freezing,
    memory,
    progress,
    replicas,
    sample_predictions,
    training_state,
)
from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.checkpoint_store import CheckpointStore
from trainer.checkpoints import Checkpoint
from trainer.classifier import Classifier
from trainer.curves import Curves
from trainer.history import EpochRecord, PhaseRecord
from trainer.interruption import Interrupted, StopAsked, StopRequest, listening_for_sigterm
from trainer.optimizers import Carried
from trainer.phase_training import PhaseTraining, Watch, begin
from trainer.replicas import Array
from trainer.sample_predictions import PredictionsOfPhases
from trainer.search.phase_search import settle
from trainer.settings import ModelSettings
from trainer.shared_checkpoints import SharedCheckpoints
from trainer.stages import Stage, stages_of
from trainer.training_setup import Setup, TrainingData, set_up, shift_random_states
from trainer.training_state import TrainingState
from trainer.workers import Workers

__all__ = ["EpochRecord", "PhaseRecord", "TrainingData", "fine_tune"]

_BASELINE = "baseline/"


def fine_tune(
    settings: ModelSettings,
    data: TrainingData,
    strategy: tf.distribute.Strategy,
    on_baseline: Callable[[Classifier], None],
    log_dir: Path | None = None,
    checkpoint_dir: Path | None = None,
    cache: Store | NoStore = NO_STORE,
    checkpoint_store: CheckpointStore | None = None,
) -> tuple[Classifier, tuple[PhaseRecord, ...]]:
    """Trains the phases in order.

    With a checkpoint folder, a training that was killed goes on where its last checkpoint was, and ends with the very
    bits that it would have ended with. At SIGTERM it finishes its step and saves.

    Args:
        settings: the model and its phases.
        data: transformed examples.
        strategy: devices to train on; the global batch is the batch per replica times their number.
        on_baseline: called with the model as it is when it is the baseline: at the end of the probe, or of the frozen
            phases that the plan begins with; once more when a training goes on that is further already; never with
            `baseline: none`.
        log_dir: where TensorBoard event files go, see `trainer.curves.Curves`.
        checkpoint_dir: where checkpoints lie, for one training at a time; None for no checkpoints. The caller removes
            it when the result is safe.
        cache: where activations of frozen layers are kept, shared with other trainings.
        checkpoint_store: keeps copies of the checkpoints, where `checkpoint_dir` is lost with the machine.

    Returns:
        The trained model, and a record per phase, in the order of training; that of a probe comes first.

    Raises:
        ConfigurationError: a boundary that names no layer.
        WeightsError: the pretrained weights cannot be had.
        FreezeContractError: a frozen variable changed.
        Interrupted: SIGTERM came.
        ThawError: a phase whose loss is a number in none of its epochs, or for which no learning rate can be suggested
            where it is to be found; too little memory; a cache or checkpoint store that cannot be used.
    """
    for words in settings.warnings:
        warnings.warn(words, stacklevel=2)
    logging.getLogger(__name__).info("%s", compute.describe(settings, strategy))
    workers = Workers(strategy)
    with workers.explaining_loss():
        setup = replace(set_up(settings, data, strategy, cache), notes_norms=log_dir is not None)
        compilation.check(setup)
        folder = _folder_of(checkpoint_dir, setup, checkpoint_store)
        curves = Curves(log_dir if workers.is_chief else None)
        with listening_for_sigterm(workers.any) as stop, memory.explaining_lack(settings):
            records = _Training(setup, on_baseline, curves, folder, stop).run()
    return setup.model, records


def _folder_of(checkpoint_dir: Path | None, setup: Setup, store: CheckpointStore | None) -> SharedCheckpoints | None:
    """The checkpoints; before, several workers make sure that they are about to do the same."""
    workers = setup.workers
    if checkpoint_dir is None and workers.num_workers == 1:
        return None
    data, num_replicas = setup.data, setup.strategy.num_replicas_in_sync
    splits = {"train": data.train, "eval": data.eval}
    digest = training_state.training_digest(
        setup.settings, splits, data.num_classes, num_replicas, data.warm_start, workers.num_workers
    )
    if workers.num_workers > 1:
        weights = str(sorted(freeze_contract.digest_variables(setup.model).items()))
        workers.must_agree(("settings, data or versions", digest), ("pretrained weights", weights))
    return None if checkpoint_dir is None else SharedCheckpoints(checkpoint_dir, digest, workers, store)


class _Training:
    """The stages in order, and what is saved of them."""

    def __init__(
        self,
        setup: Setup,
        on_baseline: Callable[[Classifier], None],
        curves: Curves,
        folder: SharedCheckpoints | None,
        stop: StopRequest,
    ) -> None:
        self._setup, self._on_baseline, self._curves = setup, on_baseline, curves
        self._folder, self._stop = folder, stop
        self._stages = stages_of(setup.settings)
        # Building the model again gives the same weights, so that a training that goes on has them here, too.
        self._initial = self._weights() if self._stages[0].is_probe else {}
        self._records: list[PhaseRecord] = []
        self._baseline: dict[str, Array] = {}
        self._carried: Carried | None = None
        samples = sample_predictions.choose(setup.data.eval, setup.settings.seed) if setup.notes_norms else None
        self._predictions = PredictionsOfPhases(samples) if samples is not None else None

    def run(self) -> tuple[PhaseRecord, ...]:
        checkpoint = self._folder.latest() if self._folder is not None else None
        resumed = self._resume(checkpoint) if checkpoint is not None else None
        while len(self._records) < len(self._stages):
            phase = resumed or self._begin(len(self._records))
            resumed = None
            self._train(phase)
        return tuple(self._records)

    def _begin(self, index: int) -> PhaseTraining:
        stage = self._stages[index]
        if stage.is_probe:
            shift_random_states(self._setup.model, lambda _: stage.stream)
        carried = self._carried if stage.phase.optimizer.state == "carry" else None
        stage = self._settle(stage, carried)
        phase = begin(self._setup, stage, carried, PhaseTraining)
        if index or stage.search is not None:
            self._save(phase)
        return phase

    def _settle(self, stage: Stage, carried: Carried | None) -> Stage:
        """With what is found in the place of "auto"; a training that goes on takes it from its checkpoint."""
        earlier = [
            record.settings for before, record in zip(self._stages, self._records, strict=False) if not before.is_probe
        ]
        try:
            unwatched = replace(self._setup, notes_norms=False)
            settled = settle(unwatched, stage, carried, [] if stage.is_probe else earlier, self._stop)
        except StopAsked:
            raise self._interrupted(f"while what is open in phase {stage.phase.name!r} was searched") from None
        self._curves.add_search(settled.phase, settled.search)
        return settled

    def _train(self, phase: PhaseTraining) -> None:
        stage = self._stages[len(self._records)]
        with closing(phase):
            try:
                record = phase.train(Watch(self._save_if_due, self._on_epoch, self._stop))
            except StopAsked:
                self._save(phase)
                raise self._interrupted(f"in phase {phase.phase.name!r} after step {phase.step}") from None
        if self._next_is_searched and record.warning is None:
            self._save(phase)  # a search may take long; a kill in it must not cost the end of this phase
        if self._predictions is not None:
            self._add_predictions(self._predictions.ask(phase.phase.name, self._setup.model))
        self._records.append(record)
        self._carried = phase.optimizers.carry()
        if stage.gives_baseline:
            self._take_baseline()
        if stage.is_probe:
            replicas.write(self._named_weights(), self._initial)
        if len(self._records) == len(self._stages):
            self._save(None)

    def _add_predictions(self, probabilities: Array) -> None:
        assert self._predictions is not None
        self._curves.add_predictions(self._predictions.samples, probabilities, self._setup.data.labels)

    @property
    def _next_is_searched(self) -> bool:
        following = self._stages[len(self._records) + 1 :]
        return bool(following) and following[0].phase.is_searched

    def _take_baseline(self) -> None:
        if self._folder is not None:
            self._baseline = self._weights()
        self._on_baseline(self._setup.model)

    def _weights(self) -> dict[str, Array]:
        return replicas.read(self._named_weights())

    def _named_weights(self) -> replicas.Components:
        return replicas.name_components("model", self._setup.model.variables)

    def _on_epoch(self, record: EpochRecord) -> None:
        self._curves.add([record])
        lengths = [self._setup.length_of(stage.phase) for stage in self._stages]
        progress.report(epoch_progress.of(record, lengths, len(self._records)))

    def _save_if_due(self, phase: PhaseTraining) -> None:
        every = self._setup.settings.checkpoint_every_steps
        if every and phase.step % every == 0:
            self._save(phase)

    def _save(self, phase: PhaseTraining | None) -> None:
        """Saves a phase that is being trained, or, without one, that all are done."""
        if self._folder is None:
            return
        state = TrainingState(
            phase=len(self._records),
            step=phase.step if phase else 0,
            first_iterations=tuple(phase.first_iterations.get(path, 0) for path in self._paths()) if phase else (),
            digests=tuple(phase.digests_before.values()) if phase else (),
            epochs=tuple(phase.epochs) if phase else (),
            records=tuple(self._records),
            settled=phase.phase if phase and phase.stage.search is not None else None,
            search=phase.stage.search if phase else None,
            cache=phase.batches.use if phase else None,
        )
        arrays = phase.arrays() if phase else self._weights()
        baseline = {f"{_BASELINE}{name}": value for name, value in self._baseline.items()}
        predictions = self._predictions.arrays() if self._predictions is not None else {}
        self._folder.save(Checkpoint(training_state.to_json(state), {**arrays, **baseline, **predictions}))

    def _resume(self, checkpoint: Checkpoint) -> PhaseTraining | None:
        """Goes back to a checkpoint; returns the phase to go on with, or None where all are done."""
        state = training_state.from_json(checkpoint.state)
        self._records = list(state.records)
        predictions = self._predictions.restore(checkpoint.arrays) if self._predictions is not None else {}
        for record in state.records:
            self._curves.add_search(record.settings, record.search)
            self._curves.add(record.epochs)
            if record.settings.name in predictions:
                self._add_predictions(predictions[record.settings.name])
        self._curves.add(state.epochs)
        self._restore_baseline(checkpoint)
        if state.phase == len(self._stages):
            named = self._named_weights()
            replicas.write(named, {name: checkpoint.arrays[name] for name in named})
            return None
        iterations = dict(zip(self._paths(), state.first_iterations, strict=True))
        stage = self._stages[state.phase]
        if state.settled is not None:
            stage = replace(stage, phase=state.settled, search=state.search)
            self._curves.add_search(stage.phase, stage.search)
        phase = PhaseTraining(self._setup, stage, iterations)
        phase.batches.use = state.cache
        phase.restore(state.step, state.epochs, state.digests, checkpoint.arrays)
        return phase

    def _paths(self) -> list[str]:
        return [weight.path for weight in self._setup.model.weights]

    def _restore_baseline(self, checkpoint: Checkpoint) -> None:
        """The baseline leaves once more: where the first attempt put it may be gone."""
        arrays = checkpoint.arrays
        self._baseline = {n.removeprefix(_BASELINE): arrays[n] for n in arrays if n.startswith(_BASELINE)}
        if self._baseline:
            (stage,) = (stage for stage in self._stages if stage.gives_baseline)
            freezing.freeze(self._setup.model, stage.phase)
            replicas.write(self._named_weights(), self._baseline)
            self._on_baseline(self._setup.model)

    def _interrupted(self, when: str) -> Interrupted:
        where = f"training was told to stop (SIGTERM) {when}"
        if self._folder is None:
            return Interrupted(f"{where}; there is no checkpoint folder, so it begins anew when it is started again")
        saved = f"its state is saved in {self._folder.folder}: start it again, and it goes on there"
        return Interrupted(f"{where}; {saved}")
