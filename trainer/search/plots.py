"""The curves of searches for learning rates as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainer.search.rate_curves import Sweep, smooth
from trainer.search.results import RateSearch

_RAW, _SMOOTH = "#c3ccd5", "#1f5fa8"
_TAKEN, _SPREAD = "#c2410c", "#fde6d8"


def draw_rate_searches(searches: Mapping[str, tuple[RateSearch, float | None]], path: Path) -> None:
    """Draws a panel per phase: the loss by learning rate of each sweep, and the rate that is suggested.

    Args:
        searches: by name of the phase: the search, and the rate that was taken, or None.
        path: of the PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2 * len(searches) + 0.6), layout="constrained")
    panels = figure.subplots(len(searches), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, (search, taken)) in zip(panels, searches.items(), strict=True):
        _draw(axes, search, taken)
        axes.set_title(f"{name}: {_in_words(search, taken)}", loc="left", fontsize=10)
    panels[-1].set_xlabel("learning rate")
    FigureCanvasAgg(figure).print_png(str(path))


def _draw(axes: Any, search: RateSearch, taken: float | None) -> None:
    for number, sweep in enumerate(search.sweeps):
        smoothed = smooth(sweep)
        axes.plot(sweep.rates, sweep.losses, color=_RAW, linewidth=0.8, label="" if number else "loss of each batch")
        axes.plot(sweep.rates[: len(smoothed)], smoothed, color=_SMOOTH, label="" if number else "smoothed")
    if search.lowest is not None and search.highest is not None:
        axes.axvspan(search.lowest, search.highest, color=_SPREAD, label="suggestions of the sweeps")
    if taken is not None:
        axes.axvline(taken, color=_TAKEN, linewidth=1.5, label=f"rate: {taken:g}")
    axes.set_xscale("log")
    axes.set_ylabel("training loss, nats")
    axes.set_ylim(*_limits(search.sweeps))
    axes.grid(axis="y", color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _limits(sweeps: tuple[Sweep, ...]) -> tuple[float, float]:
    """What diverges would press all else flat, so the panel ends at twice the loss of the start."""
    losses = np.array([loss for sweep in sweeps for loss in sweep.losses if np.isfinite(loss)] or [1.0])
    starts = [sweep.losses[0] for sweep in sweeps if np.isfinite(sweep.losses[0])] or [1.0]
    return 0.0, float(min(losses.max(), max(2 * max(starts), 3 * losses.min()))) * 1.05 + 1e-6


def _in_words(search: RateSearch, taken: float | None) -> str:
    if search.rate is None:
        return f"no suggestion; {search.reason}"
    lowered = f", lowered to {taken:g}" if taken is not None and taken != search.rate else ""
    return (
        f"{search.rate:g} suggested ({search.lowest:g} to {search.highest:g} over {len(search.sweeps)} sweeps){lowered}"
    )
