"""The history of a training as a picture: loss, accuracy and learning rates by epoch, phase by phase."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from trainer.history import EpochRecord, PhaseRecord

_TRAIN, _EVAL = "#9aa5b1", "#1f5fa8"
_BOUNDARY, _BEST = "#5c6670", "#c2410c"


def draw_curves(phases: Sequence[PhaseRecord], path: Path) -> None:
    """Draws the curves of all phases one after the other, with a line where a phase ends and a dot at its best epoch.

    Args:
        phases: in the order of training.
        path: of the PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    epochs = [epoch for phase in phases for epoch in phase.epochs]
    _draw(loss, epochs, "train_loss", "eval_log_loss", "loss, nats")
    _draw(accuracy, epochs, "train_accuracy", "eval_accuracy", "accuracy")
    _draw_rates(rate, phases)
    ends = list(accumulate(len(phase.epochs) for phase in phases))
    for axes in (loss, accuracy, rate):
        axes.grid(axis="y", color="#e5e7eb")
        axes.spines[["top", "right"]].set_visible(False)
        for end in ends[:-1]:
            axes.axvline(end + 0.5, color=_BOUNDARY, linewidth=1, linestyle="--")
    for phase, end in zip(phases, ends, strict=True):
        start = end - len(phase.epochs)
        best = phase.epochs[phase.best_epoch - 1]
        number = start + phase.best_epoch
        loss.plot(number, best.eval_log_loss, "o", color=_BEST, label="" if start else "weights kept")
        accuracy.plot(number, best.eval_accuracy, "o", color=_BEST)
        trained = phase.trainable.num_trained_parameters
        loss.annotate(
            f"{phase.settings.name}\n{trained:,} parameters train",
            (start + 0.6, 1.02),
            xycoords=("data", "axes fraction"),
            fontsize=9,
            color=_BOUNDARY,
        )
    loss.legend(frameon=False, loc="upper right")
    is_by_epochs = all(phase.settings.evaluate_every_steps is None for phase in phases)
    rate.set_xlabel("epoch, over all phases" if is_by_epochs else "evaluation, over all phases")
    rate.set_xlim(0.5, max(ends[-1], 1) + 0.5)
    rate.xaxis.get_major_locator().set_params(integer=True)
    FigureCanvasAgg(figure).print_png(str(path))


def _draw(axes: Any, epochs: Sequence[EpochRecord], train: str, evaluated: str, label: str) -> None:
    numbers = range(1, len(epochs) + 1)
    axes.plot(numbers, [getattr(epoch, train) for epoch in epochs], color=_TRAIN, label="train")
    axes.plot(numbers, [getattr(epoch, evaluated) for epoch in epochs], color=_EVAL, label="eval")
    axes.set_ylabel(label)


def _draw_rates(axes: Any, phases: Sequence[PhaseRecord]) -> None:
    """The rate at the end of each epoch, of each rate group; a phase's line does not join that of the next."""
    first = 1
    for phase in phases:
        groups = phase.epochs[0].learning_rates if phase.epochs else {}
        numbers = range(first, first + len(phase.epochs))
        for group in groups:
            rates = [epoch.learning_rates[group] for epoch in phase.epochs]
            axes.plot(numbers, rates, color=_EVAL, linewidth=1, marker="." if len(rates) == 1 else "")
        first += len(phase.epochs)
    axes.set_yscale("log")
    axes.set_ylabel("learning rates")
