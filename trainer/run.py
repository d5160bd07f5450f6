"""One training job from folders to folders: what FineTuner runs, and what a notebook may call without TFX."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tensorflow as tf

from trainer import compute, devices, freeze_contract
from trainer.activation_cache.store import NO_STORE, NoStore, Store
from trainer.checkpoint_store import CheckpointStore
from trainer.classifier import Classifier
from trainer.datasets import open_split
from trainer.export import export
from trainer.record import TENSORBOARD_FOLDER, write_record
from trainer.settings import ModelSettings
from trainer.training import TrainingData, fine_tune
from trainer.transform_graph import read_labels
from trainer.warm_start.card import save
from trainer.warm_start.origin import find_origin, open_warm_start
from trainer.workers import Workers


@dataclass(frozen=True)
class TrainingJob:
    """Where a training job reads and writes; all but `cache` are paths of folders.

    Attributes:
        train_examples: transformed examples of the training split.
        eval_examples: transformed examples that epochs are chosen by.
        transform_graph: the preprocessing graph and the label vocabulary.
        model: gets the SavedModel of the last phase.
        baseline_model: gets the SavedModel of the last wholly frozen phase.
        training_record: gets the record and TensorBoard's event files.
        warm_start: the exported model that training begins with; None for what the settings name, and with "latest" as
            long as nothing has been pushed.
        training_sha256: of what is trained on, and how; a later training that has the same does not begin with this
            one's models.
        checkpoints: where a training that is killed can be gone on with; removed when all else is written. None for no
            checkpoints.
        checkpoint_store: URI of a folder in an object store that gets copies of them, for machines whose disks do not
            outlive them. What is there at the end stays: whether the result is safe is not known here.
        cache: where activations of frozen layers are kept, shared with other trainings.
    """

    train_examples: str
    eval_examples: str
    transform_graph: str
    model: str
    baseline_model: str
    training_record: str
    checkpoints: str | None = None
    checkpoint_store: str | None = None
    cache: Store | NoStore = NO_STORE
    warm_start: str | None = None
    training_sha256: str = ""


def run(
    job: TrainingJob, settings: ModelSettings, num_cpu_replicas: int | None, gpus: Sequence[int] | None = None
) -> None:
    """Trains, and exports the model, its baseline and the record.

    Args:
        job: where to read and write.
        settings: what to train.
        num_cpu_replicas: logical CPU devices to train on; None for GPUs, or the CPU where there is none.
        gpus: numbers of the GPUs to train on; None for all.

    Raises:
        ThawError: see `trainer.training.fine_tune`.
        FreezeContractError: what was exported is not what was trained.
    """
    devices.prepare(num_cpu_replicas, gpus)
    train_on(devices.make_strategy(num_cpu_replicas), job, settings)


def train_on(strategy: tf.distribute.Strategy, job: TrainingJob, settings: ModelSettings) -> None:
    """`run` on devices that are ready; with several workers, each calls this, and the chief writes what comes out.

    Args:
        strategy: see `trainer.devices.make_strategy`.
        job: where to read and write.
        settings: what to train.

    Raises:
        ThawError: see `trainer.training.fine_tune`.
        FreezeContractError: what was exported is not what was trained.
    """
    workers = Workers(strategy)
    labels = read_labels(job.transform_graph)
    origin = job.warm_start or find_origin(settings.warm_start, None, job.training_sha256)
    data = TrainingData(
        train=open_split(job.train_examples, settings.image_size_px),
        eval=open_split(job.eval_examples, settings.image_size_px),
        num_classes=len(labels),
        labels=tuple(labels),
        warm_start=open_warm_start(Path(origin), settings, labels) if origin is not None else None,
    )
    record = Path(job.training_record)
    checkpoints = Path(job.checkpoints) if job.checkpoints is not None else None

    def export_to(folder: str, model: Classifier) -> None:
        if not workers.is_chief:
            return
        export(model, job.transform_graph, settings.image_size_px, folder)
        freeze_contract.check_export(model, folder)
        save(model, settings, labels, folder, job.training_sha256)

    store = CheckpointStore(job.checkpoint_store) if job.checkpoint_store is not None else None
    on_baseline = partial(export_to, job.baseline_model)
    model, phases = fine_tune(
        settings, data, strategy, on_baseline, record / TENSORBOARD_FOLDER, checkpoints, job.cache, store
    )
    export_to(job.model, model)
    if workers.is_chief:
        write_record(record, settings, phases, labels, compute.describe(settings, strategy), data.warm_start)
        if checkpoints is not None:
            shutil.rmtree(checkpoints)
    with workers.explaining_loss():
        workers.meet()  # one that ended before the chief had written all would be missed
