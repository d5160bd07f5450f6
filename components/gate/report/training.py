"""What was trained, and its curves, as the training record has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from components.gate.report.plots import BOTTOM, LEFT, RIGHT, TOP, Curve, Plot, Scale, Style, Tick, curve_of, scale_of

Epoch = Mapping[str, Any]


@dataclass(frozen=True)
class PhaseRow:
    """One phase in words.

    Attributes:
        number: counted from 1; also at its boundary in the curves.
        name: as configured.
        trains: which layers.
        parameters: how many of how many.
        batch_norm: the policy.
        rate: learning rate, schedule and optimizer.
        evaluations: how many, and which one's weights were kept.
        log_loss: of the eval split, of the kept weights.
        accuracy: likewise.
        contract: what was checked of the frozen variables.
        warning: what went wrong without ending the run, or "".
    """

    number: int
    name: str
    trains: str
    parameters: str
    batch_norm: str
    rate: str
    evaluations: str
    log_loss: float | None
    accuracy: float | None
    contract: str
    warning: str


@dataclass(frozen=True)
class EpochRow:
    """One evaluation, for those who cannot see the curves."""

    number: int
    phase: str
    train_loss: float | None
    eval_log_loss: float | None
    train_accuracy: float | None
    eval_accuracy: float | None
    is_kept: bool


def is_known(training: Mapping[str, Any]) -> bool:
    """Whether there is a record in the form of this version: others wrote less."""
    phases = training.get("phases", [])
    return bool(phases) and all("blocks" in phase.get("trainable", {}) and phase.get("epochs") for phase in phases)


def phase_rows(training: Mapping[str, Any]) -> list[PhaseRow]:
    """A row per phase."""
    settings = {phase["name"]: phase for phase in training["settings"]["phases"] if isinstance(phase, Mapping)}
    return [
        _phase_row(number, phase, settings.get(phase["name"], {}))
        for number, phase in enumerate(training["phases"], start=1)
    ]


def _phase_row(number: int, phase: Mapping[str, Any], settings: Mapping[str, Any]) -> PhaseRow:
    trainable, contract, best = phase["trainable"], phase["freeze_contract"], phase["epochs"][phase["best_epoch"] - 1]
    return PhaseRow(
        number=number,
        name=phase["name"],
        trains=_what_trains(trainable),
        parameters=f"{trainable['num_trained_parameters']:,} of {trainable['num_parameters']:,}",
        batch_norm=trainable["batch_norm"]["policy"],
        rate=_rate(phase, settings),
        evaluations=f"{len(phase['epochs'])}, kept {phase['best_epoch']}",
        log_loss=best["eval_log_loss"],
        accuracy=best["eval_accuracy"],
        contract=f"{contract['num_frozen_variables']:,} frozen variables did not change, "
        f"{len(contract['changed']):,} others did",
        warning=phase["warning"] or "",
    )


def _what_trains(trainable: Mapping[str, Any]) -> str:
    blocks, layers = trainable["blocks"], trainable["layers"]
    if not layers:
        return "the head"
    where = blocks[0] if len(blocks) == 1 else f"{blocks[0]} to {blocks[-1]}"
    return f"the head, and {len(layers):,} layer{'s' * (len(layers) > 1)} in {where}"


def _rate(phase: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    rate = phase["learning_rate"]
    parts = [f"{rate:g}" if isinstance(rate, int | float) else str(rate)]
    if settings:
        parts += [settings["schedule"], settings["optimizer"]["name"]]
        parts += [f"decay of {settings['block_decay']:g} per block"] if settings["block_decay"] != 1 else []
    return ", ".join(parts)


def epoch_rows(training: Mapping[str, Any]) -> list[EpochRow]:
    """Every evaluation, over all phases."""
    pairs = [
        (phase, position, epoch)
        for phase in training["phases"]
        for position, epoch in enumerate(phase["epochs"], start=1)
    ]
    return [
        EpochRow(
            number,
            phase["name"],
            epoch["train_loss"],
            epoch["eval_log_loss"],
            epoch["train_accuracy"],
            epoch["eval_accuracy"],
            position == phase["best_epoch"],
        )
        for number, (phase, position, epoch) in enumerate(pairs, start=1)
    ]


def training_plots(training: Mapping[str, Any]) -> list[Plot]:
    """Loss, accuracy and learning rates over all phases, with a line where one phase ends and the next begins."""
    rows = epoch_rows(training)
    x = Scale(0.5, len(rows) + 0.5, LEFT, RIGHT)
    return [
        _plot("loss", "Loss", "nats", rows, ("train_loss", "eval_log_loss"), training, x),
        _plot("accuracy", "Accuracy", "share", rows, ("train_accuracy", "eval_accuracy"), training, x),
        _rate_plot(training, x),
    ]


def _plot(
    key: str,
    title: str,
    unit: str,
    rows: Sequence[EpochRow],
    names: tuple[str, str],
    training: Mapping[str, Any],
    x: Scale,
) -> Plot:
    values = [getattr(row, name) for row in rows for name in names]
    y = scale_of(values, BOTTOM, TOP)
    styles: tuple[Style, Style] = ("train", "eval")
    curves = [
        curve_of(style, style, [(row.number, getattr(row, name)) for row in rows], x, y)
        for name, style in zip(names, styles, strict=True)
    ]
    kept = [row for row in rows if row.is_kept]
    shown = [(row, value) for row in kept if (value := getattr(row, names[1])) is not None]
    words = "; ".join(f"{value:.4f} at the end of {row.phase}" for row, value in shown)
    return Plot(
        key=f"training-{key}",
        title=f"{title}, {unit}{' (logarithmic)' if y.is_log else ''}",
        description=f"{title} of the train and eval splits over {len(rows)} evaluations. Of the eval split, in the "
        f"weights that were kept: {words or 'no number'}.",
        x_label=_x_label(training),
        y_label=unit,
        x_ticks=_whole(x),
        y_ticks=y.ticks(),
        curves=curves,
        boundaries=_boundaries(training, x),
        kept=[(x(row.number), y(value)) for row, value in shown if value > 0 or not y.is_log],
    )


def _rate_plot(training: Mapping[str, Any], x: Scale) -> Plot:
    lines: list[list[tuple[float, float | None]]] = []
    number = 0
    for phase in training["phases"]:
        groups: dict[str, list[tuple[float, float | None]]] = {}
        for epoch in phase["epochs"]:
            number += 1
            for group, rate in epoch["learning_rates"].items():
                groups.setdefault(group, []).append((number, rate))
        lines += groups.values()
    rates = [rate for line in lines for _, rate in line]
    y = scale_of([rate for rate in rates if rate], BOTTOM, TOP, always_log=True)
    drawn = [curve_of("", "eval", line, x, y) for line in lines]
    curve = Curve(
        "learning rate of each group of layers",
        "eval",
        [piece for part in drawn for piece in part.pieces],
        [mark for part in drawn for mark in part.marks],
    )
    known = [rate for rate in rates if rate]
    words = f"between {min(known):.3g} and {max(known):.3g}" if known else "not recorded"
    return Plot(
        key="training-rate",
        title="Learning rates (logarithmic)",
        description=f"Learning rates at the end of each evaluation: {words}.",
        x_label=_x_label(training),
        y_label="learning rate",
        x_ticks=_whole(x),
        y_ticks=y.ticks(),
        curves=[curve],
        boundaries=_boundaries(training, x),
    )


def _x_label(training: Mapping[str, Any]) -> str:
    settings = [phase for phase in training["settings"]["phases"] if isinstance(phase, Mapping)]
    by_steps = any(phase.get("evaluate_every_steps") for phase in settings)
    return f"{'evaluation' if by_steps else 'epoch'}, over all phases"


def _whole(x: Scale) -> list[Tick]:
    return [tick for tick in x.ticks() if "." not in tick.text]


def _boundaries(training: Mapping[str, Any], x: Scale) -> list[Tick]:
    """Where each phase begins, with its number."""
    starts = [0, *accumulate(len(phase["epochs"]) for phase in training["phases"])][:-1]
    return [Tick(x(start + 0.5), str(number)) for number, start in enumerate(starts, start=1)]
