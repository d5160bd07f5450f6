"""Fine-tuning: the phases of a plan, one after the other, with the baseline taken on the way."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainer import datasets, freeze_contract, freezing, progress
from trainer.classifier import Classifier, build_classifier
from trainer.datasets import Split
from trainer.errors import ThawError
from trainer.freeze_contract import ContractReport
from trainer.freezing import TrainableSet
from trainer.settings import ModelSettings, PhaseSettings

# What an epoch is judged by. Padding has weight 0 in it, which Keras's own `val_loss` would count in.
_MONITOR = "val_log_loss"


@dataclass(frozen=True)
class EpochRecord:
    """One line of the history; losses are in nats, times in seconds.

    Attributes:
        phase: name of the phase.
        epoch: counted from 1 within the phase.
        train_loss: mean over the epoch's batches, while the weights were changing.
        train_accuracy: likewise.
        eval_log_loss: mean over the eval split, after the epoch.
        eval_accuracy: likewise.
    """

    phase: str
    epoch: int
    train_loss: float
    train_accuracy: float
    eval_log_loss: float
    eval_accuracy: float


@dataclass(frozen=True)
class PhaseRecord:
    """What a phase was and did.

    Attributes:
        settings: as configured.
        trainable: the freeze boundary, resolved.
        contract: which variables changed, and that no frozen one did.
        epochs: the history.
        best_epoch: whose weights the phase ended with, counted from 1.
    """

    settings: PhaseSettings
    trainable: TrainableSet
    contract: ContractReport
    epochs: tuple[EpochRecord, ...]
    best_epoch: int


@dataclass(frozen=True)
class TrainingData:
    """What to train on and what to choose epochs by."""

    train: Split
    eval: Split
    num_classes: int


def fine_tune(
    settings: ModelSettings,
    data: TrainingData,
    strategy: tf.distribute.Strategy,
    on_baseline: Callable[[Classifier], None],
    log_dir: Path | None = None,
) -> tuple[Classifier, tuple[PhaseRecord, ...]]:
    """Trains the phases in order.

    Args:
        settings: the model and its phases.
        data: transformed examples.
        strategy: devices to train on; the global batch is the batch per replica times their number.
        on_baseline: called with the model as it is after the last wholly frozen phase, before anything is unfrozen.
        log_dir: where TensorBoard event files go, a folder per phase.

    Returns:
        The trained model and a record per phase.

    Raises:
        ConfigurationError: a boundary that names no layer.
        WeightsError: the pretrained weights cannot be had.
        FreezeContractError: a frozen variable changed.
        ThawError: a phase whose loss is a number in none of its epochs.
    """
    for words in settings.warnings:
        warnings.warn(words, stacklevel=2)
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = build_classifier(settings, data.num_classes)
    for phase in settings.phases:  # a name that matches no layer is an error before the first epoch, not after it
        freezing.boundary_index(model.backbone, phase.unfreeze)
    last_frozen = max(index for index, phase in enumerate(settings.phases) if phase.is_frozen)
    records = []
    for index in range(len(settings.phases)):
        records.append(_train_phase(model, index, settings, data, strategy, log_dir))
        if index == last_frozen:
            on_baseline(model)
    return model, tuple(records)


def _train_phase(
    model: Classifier,
    index: int,
    settings: ModelSettings,
    data: TrainingData,
    strategy: tf.distribute.Strategy,
    log_dir: Path | None,
) -> PhaseRecord:
    phase = settings.phases[index]
    batch_size = settings.batch_size_per_replica * strategy.num_replicas_in_sync
    before = freeze_contract.digest_variables(model)
    with strategy.scope():
        trainable = freezing.freeze(model, phase)
        _compile(model, phase)
    history = _History(settings, index)
    callbacks: list[keras.callbacks.Callback] = [history, _best_weights(phase)]
    if log_dir is not None:
        callbacks.append(keras.callbacks.TensorBoard(log_dir / phase.name, write_graph=False))
    model.fit(
        # The phase's number joins the seed, so that no two phases see the same order.
        datasets.training_batches(data.train, batch_size, settings.seed + index, phase.epochs),
        steps_per_epoch=data.train.num_batches(batch_size),
        validation_data=datasets.evaluation_batches(data.eval, batch_size),
        epochs=phase.epochs,
        callbacks=callbacks,
        shuffle=False,  # the dataset has shuffled; Keras would warn that it cannot
        verbose=0,
    )
    contract = freeze_contract.check(model, phase.name, before)
    return PhaseRecord(phase, trainable, contract, tuple(history.epochs), history.best_epoch())


def _compile(model: Classifier, phase: PhaseSettings) -> None:
    """Compiles anew: once the train function exists, a change of `trainable` has no effect, and no warning either."""
    model.compile(
        optimizer=keras.optimizers.Adam(phase.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        weighted_metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.SparseCategoricalCrossentropy(name="log_loss"),
        ],
    )


def _best_weights(phase: PhaseSettings) -> keras.callbacks.Callback:
    """Ends the phase when it no longer improves, and puts the weights of its best epoch back in any case."""
    return keras.callbacks.EarlyStopping(
        monitor=_MONITOR,
        mode="min",
        patience=phase.early_stopping_patience or phase.epochs,
        restore_best_weights=True,
    )


class _History(keras.callbacks.Callback):
    """Collects the epochs of a phase and reports them."""

    def __init__(self, settings: ModelSettings, index: int) -> None:
        super().__init__()
        self._phase = settings.phases[index]
        self._num_epochs_before = sum(phase.epochs for phase in settings.phases[:index])
        self._num_epochs = sum(phase.epochs for phase in settings.phases)
        self.epochs: list[EpochRecord] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        record = EpochRecord(
            phase=self._phase.name,
            epoch=epoch + 1,
            train_loss=values["log_loss"],
            train_accuracy=values["accuracy"],
            eval_log_loss=values["val_log_loss"],
            eval_accuracy=values["val_accuracy"],
        )
        self.epochs.append(record)
        progress.report(
            progress.Progress(self._num_epochs_before + epoch + 1, self._num_epochs, "epochs", self._note(record))
        )

    def _note(self, record: EpochRecord) -> str:
        return (
            f"{record.phase} {record.epoch}/{self._phase.epochs} · loss {record.train_loss:.4f} · accuracy "
            f"{record.train_accuracy:.4f} · eval log loss {record.eval_log_loss:.4f} "
            f"· eval accuracy {record.eval_accuracy:.4f}"
        )

    def best_epoch(self) -> int:
        """The epoch with the lowest eval log loss, counted from 1; the first of equals.

        Raises:
            ThawError: no epoch has one that is a number.
        """
        finite = [record for record in self.epochs if record.eval_log_loss == record.eval_log_loss]
        if not finite:
            raise ThawError(
                f"phase {self._phase.name!r} diverged: its log loss is not a number in any epoch; lower its "
                f"learning_rate ({self._phase.learning_rate:g})"
            )
        return min(finite, key=lambda record: record.eval_log_loss).epoch
