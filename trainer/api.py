"""Fine-tuning from a notebook or a script: data sets or arrays in; model, baseline and record out. No TFX is needed."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer import devices, freeze_contract, progress, training
from trainer.activation_cache.store import store_at
from trainer.classifier import Classifier, build_classifier
from trainer.errors import ConfigurationError
from trainer.export import export
from trainer.history import EpochRecord, PhaseRecord
from trainer.own_data import class_names_of, read_split, write_split
from trainer.plain_transform import write_plain_transform
from trainer.plots import draw_curves
from trainer.record import record_of, write_record
from trainer.settings import LATEST, ModelSettings
from trainer.training import TrainingData
from trainer.warm_start.card import save
from trainer.warm_start.carrying_over import without_pretrained
from trainer.warm_start.origin import WarmStart, find_origin, open_warm_start


@dataclass(frozen=True)
class FineTuned:
    """What a training gave.

    Attributes:
        model: a Keras model from pixels [batch, size, size, 3], 0 to 255, to probabilities, float32 [batch, classes].
        baseline: the same with the frozen backbone: what there would be without fine-tuning. None with
            `baseline: none`.
        class_names: in the order of the probabilities.
        settings: the whole plan, defaults included.
        phases: what each phase trained, changed and reached; that of a probe comes first.
        devices: what it was trained on, in words.
        began_with: the model of a warm start; None for the pretrained weights.
    """

    model: Classifier
    baseline: Classifier | None
    class_names: tuple[str, ...]
    settings: ModelSettings
    phases: tuple[PhaseRecord, ...]
    devices: str
    began_with: WarmStart | None = None

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """All epochs, in the order of training."""
        return tuple(epoch for phase in self.phases for epoch in phase.epochs)

    @property
    def record(self) -> dict[str, Any]:
        """Everything about the training as plain values, as in `training.json`."""
        return record_of(self.settings, self.phases, self.class_names, self.devices, self.began_with)

    def curves_png(self) -> bytes:
        """The history as a picture: loss, accuracy and learning rates, phase by phase."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "curves.png"
            draw_curves(self.phases, path)
            return path.read_bytes()

    def write_record(self, folder: str | Path) -> None:
        """Writes `training.json` and `curves.png` into a folder, which is made where it is missing."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_record(Path(folder), self.settings, self.phases, self.class_names, self.devices, self.began_with)

    def export(self, folder: str | Path) -> None:
        """Writes the model as the pipeline does: a SavedModel from the bytes of images to labels and scores.

        The weights lie beside it, so that a later training can begin with them: give the folder as `warm_start`.
        It decodes and resizes images itself, `thaw predict` and TensorFlow Serving read it, and it is compared with
        the trained one, variable by variable.

        Raises:
            FreezeContractError: what was written is not what was trained.
        """
        size = self.settings.image_size_px
        with tempfile.TemporaryDirectory() as transform_graph:
            write_plain_transform(self.class_names, size, Path(transform_graph))
            export(self.model, transform_graph, size, str(folder))
        freeze_contract.check_export(self.model, folder)
        save(self.model, self.settings, self.class_names, folder)


def fine_tune(
    train: Any,
    evaluated: Any,
    plan: ModelSettings | Mapping[str, Any] | str,
    *,
    class_names: Sequence[str] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    log_dir: str | Path | None = None,
    checkpoint_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    cache_max_gib: float = 20.0,
    verbose: bool = True,
    **changes: Any,
) -> FineTuned:
    """Fine-tunes a pretrained backbone in phases, and takes the frozen-only baseline on the way.

    The examples are written to a temporary folder first, at the size of the model, a byte per value. Operations are
    deterministic from then on, in the whole process: the same data, plan and seed give the same weights.

    Args:
        train: what to learn from: a `tf.data.Dataset` of (image, label) or (image, label, weight), batched or not, or
            a tuple of such arrays. Images are [height, width, 1 or 3], of any size, 0 to 255; labels are whole numbers
            from 0 or strings; weights say how much an example counts in the loss and the metrics.
        evaluated: what epochs are chosen by, likewise.
        plan: `ModelSettings`, a mapping of its keys, or the name of a preset of phases.
        class_names: the classes in the order of the scores; the strings of `train` in alphabetical order, or the
            numbers, where not given.
        strategy: devices to train on; by default all GPUs of the machine, or the CPU where there is none.
        log_dir: gets TensorBoard's event files.
        checkpoint_dir: where a training that is killed can be gone on with, by the same call again; the folder is for
            one training, and stays.
        cache_dir: where what frozen layers make of the images is kept for later calls, too; several at once may share
            it. By default in the temporary folder, for this call alone. See `ModelSettings.cache`.
        cache_max_gib: the most that it may take; what was used longest ago is thrown out for more.
        verbose: whether to print a line per epoch.
        changes: keys of `ModelSettings` that join or replace those of the plan.

    Raises:
        ConfigurationError, pydantic.ValidationError: a plan that cannot be carried out.
        ThawError: data that cannot be right; see `trainer.training.fine_tune` for the rest.
    """
    settings = settings_of(plan, changes)
    if settings.warm_start == LATEST:
        raise ConfigurationError(
            "warm_start is latest, but only the pipeline knows where models are pushed; give the folder of a model"
        )
    devices.prepare(None)
    strategy = strategy if strategy is not None else devices.make_strategy(None)
    baselines: list[dict[str, np.ndarray[Any, Any]]] = []
    with tempfile.TemporaryDirectory(prefix="thaw-") as folder, _printing(verbose):
        names, data = _write(train, evaluated, settings, class_names, Path(folder))
        model, phases = training.fine_tune(
            settings,
            data,
            strategy,
            on_baseline=lambda model: baselines.append({weight.path: np.array(weight) for weight in model.weights}),
            log_dir=_path(log_dir),
            checkpoint_dir=_path(checkpoint_dir),
            cache=store_at(cache_dir if cache_dir is not None else Path(folder, "cache"), cache_max_gib),
        )
    baseline = _model_with(baselines[-1], settings, len(names)) if baselines else None
    return FineTuned(model, baseline, names, settings, phases, devices.describe(strategy), data.warm_start)


def settings_of(plan: ModelSettings | Mapping[str, Any] | str, changes: Mapping[str, Any]) -> ModelSettings:
    """The whole settings of a plan.

    Raises:
        ConfigurationError: it is none of the three kinds.
        pydantic.ValidationError: a key or a value that is wrong.
    """
    if isinstance(plan, str):
        return ModelSettings.model_validate({"phases": plan, **changes})
    if isinstance(plan, ModelSettings):
        given = {name: getattr(plan, name) for name in plan.model_fields_set}
        return ModelSettings.model_validate({**given, **changes}) if changes else plan
    if isinstance(plan, Mapping):
        return ModelSettings.model_validate({**plan, **changes})
    raise ConfigurationError(
        f"plan is a {type(plan).__name__}; give ModelSettings, a mapping of its keys, or the name of a preset"
    )


def _write(
    train: Any, evaluated: Any, settings: ModelSettings, class_names: Sequence[str] | None, folder: Path
) -> tuple[tuple[str, ...], TrainingData]:
    own_train, own_eval = read_split("train", train), read_split("evaluated", evaluated)
    names = class_names_of(own_train, own_eval, class_names)
    size = settings.image_size_px
    origin = find_origin(settings.warm_start)
    return names, TrainingData(
        train=write_split(own_train, names, size, folder / "train"),
        eval=write_split(own_eval, names, size, folder / "eval"),
        num_classes=len(names),
        labels=tuple(names),
        warm_start=open_warm_start(origin, settings, names) if origin is not None else None,
    )


def _model_with(weights: Mapping[str, np.ndarray[Any, Any]], settings: ModelSettings, num_classes: int) -> Classifier:
    """A model of its own, since training goes on with the other. Layers without a name get another one: by position."""
    model = build_classifier(without_pretrained(settings), num_classes)
    model.set_weights(list(weights.values()))
    model.trainable = False
    return model


@contextlib.contextmanager
def _printing(verbose: bool) -> Iterator[None]:
    if not verbose:
        yield
        return
    with progress.listening(_print):
        yield


def _print(report: progress.Progress) -> None:
    """Not each batch that fills the cache."""
    if report.unit != "images":
        print(report.note or f"{report.done} {report.unit}")


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
