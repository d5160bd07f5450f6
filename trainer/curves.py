"""The curves of a training as TensorBoard shows them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from trainer import sample_predictions
from trainer.history import EpochRecord
from trainer.phase_settings import PhaseSettings
from trainer.replicas import Array
from trainer.sample_predictions import Samples
from trainer.search.results import PhaseSearch

# No phase can have this name.
ALL_PHASES = "all-phases"


class Curves:
    """Event files: a folder per phase, by epoch, and one for all phases, by the steps of the whole training.

    In each, "train" and "eval" have loss and accuracy, and "train" the rates and the norms of gradients and updates. In
    that of all phases, "phase" is the number of the phase, counted from 1, and a text stands where one begins. "eval"
    has the sample predictions there.

    A training that goes on where it was killed writes all from the beginning again, so that its folder has all.
    """

    def __init__(self, folder: Path | None) -> None:
        """Nothing is written where there is no folder."""
        self._folder = folder
        self._writers: dict[Path, tf.summary.SummaryWriter] = {}
        self._phases: list[str] = []
        self._step_before = self._last_step = 0

    @property
    def are_kept(self) -> bool:
        """Whether there is a folder."""
        return self._folder is not None

    def add(self, epochs: Iterable[EpochRecord]) -> None:
        """Writes the points of some epochs, which then are on the disk."""
        if self._folder is None:
            return
        for record in epochs:
            if self._phases[-1:] != [record.phase]:
                self._begin(self._folder, record.phase)
            self._last_step = self._step_before + record.step
            rates = {f"learning_rate/{group}": rate for group, rate in record.learning_rates.items()}
            train = {"epoch_loss": record.train_loss, "epoch_accuracy": record.train_accuracy, **rates, **record.norms}
            evaluated = {"epoch_loss": record.eval_log_loss, "epoch_accuracy": record.eval_accuracy}
            for name, values in (("train", train), ("eval", evaluated)):
                self._write(self._folder / record.phase / name, record.epoch, values)
                self._write(self._folder / ALL_PHASES / name, self._last_step, {**values, "phase": len(self._phases)})

    def add_predictions(self, samples: Samples, probabilities: Array, labels: Sequence[str]) -> None:
        """Writes what is said of some images at the end of the phase whose epochs were added last."""
        if self._folder is None:
            return
        writer = self._writer(self._folder / ALL_PHASES / "eval")
        with writer.as_default(step=self._last_step):
            sample_predictions.write(samples, probabilities, labels)
        writer.flush()

    def add_search(self, phase: PhaseSettings, search: PhaseSearch | None) -> None:
        """Writes the curve of a search for a learning rate, and the rate that was taken from it."""
        if self._folder is None or search is None or search.rate is None:
            return
        for number, sweep in enumerate(search.rate.sweeps, start=1):
            folder = self._folder / phase.name / f"learning_rate_search_{number}"
            for step, (rate, loss) in enumerate(zip(sweep.rates, sweep.losses, strict=True), start=1):
                values = {"search_loss": loss, "search_learning_rate": rate, "found_learning_rate": phase.peak_rate}
                self._write(folder, step, values)

    def _begin(self, folder: Path, phase: str) -> None:
        self._phases.append(phase)
        self._step_before = self._last_step
        number = len(self._phases)
        for name in ("train", "eval"):
            self._write(folder / ALL_PHASES / name, self._step_before, {"phase": number})
        with self._writer(folder / ALL_PHASES / "train").as_default(step=self._step_before):
            tf.summary.text("phase_boundary", f"phase {number}, **{phase}**, begins after step {self._step_before}")

    def _write(self, folder: Path, step: int, values: dict[str, float]) -> None:
        writer = self._writer(folder)
        with writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        writer.flush()

    def _writer(self, folder: Path) -> tf.summary.SummaryWriter:
        if folder not in self._writers:
            self._writers[folder] = tf.summary.create_file_writer(str(folder))
        return self._writers[folder]
