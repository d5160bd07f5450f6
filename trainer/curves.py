"""The curves of a training as TensorBoard shows them."""

from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from trainer.history import EpochRecord
from trainer.phase_settings import PhaseSettings
from trainer.search.results import PhaseSearch


class Curves:
    """Event files in a folder per phase: "train" and "eval", with loss and accuracy by epoch, and the rates.

    A training that goes on where it was killed writes the epochs before it again, so that its folder has them all.
    """

    def __init__(self, folder: Path | None) -> None:
        """Nothing is written where there is no folder."""
        self._folder = folder
        self._writers: dict[Path, tf.summary.SummaryWriter] = {}

    def add(self, epochs: Iterable[EpochRecord]) -> None:
        """Writes the points of some epochs, which then are on the disk."""
        if self._folder is None:
            return
        for record in epochs:
            rates = {f"learning_rate/{group}": rate for group, rate in record.learning_rates.items()}
            train = {"epoch_loss": record.train_loss, "epoch_accuracy": record.train_accuracy, **rates}
            evaluated = {"epoch_loss": record.eval_log_loss, "epoch_accuracy": record.eval_accuracy}
            for name, values in (("train", train), ("eval", evaluated)):
                self._write(self._folder / record.phase / name, record.epoch, values)

    def add_search(self, phase: PhaseSettings, search: PhaseSearch | None) -> None:
        """Writes the curve of a search for a learning rate, and the rate that was taken from it."""
        if self._folder is None or search is None or search.rate is None:
            return
        for number, sweep in enumerate(search.rate.sweeps, start=1):
            folder = self._folder / phase.name / f"learning_rate_search_{number}"
            for step, (rate, loss) in enumerate(zip(sweep.rates, sweep.losses, strict=True), start=1):
                values = {"search_loss": loss, "search_learning_rate": rate, "found_learning_rate": phase.peak_rate}
                self._write(folder, step, values)

    def _write(self, folder: Path, epoch: int, values: dict[str, float]) -> None:
        if folder not in self._writers:
            self._writers[folder] = tf.summary.create_file_writer(str(folder))
        writer = self._writers[folder]
        with writer.as_default(step=epoch):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        writer.flush()
