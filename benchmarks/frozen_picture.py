"""Where the time goes, as a picture drawn from the rows of `benchmarks.frozen`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frozen_figures import PART

# Parts that are the work itself come first, so that what is left to gain stands at the right.
_ORDER = ("the pass through the frozen layers", "steps", "evaluations")
_WIDTH_IN, _HEIGHT_PER_BAR_IN, _HEIGHT_OF_LEGEND_IN = 9.0, 0.6, 1.8
_LEAST_SHARE_NAMED = 0.04


def parts_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Seconds by part, by what was measured; whole runs with their components."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        what, separator, part = row["name"].partition(PART)
        if separator and row["value"] is not None:
            found.setdefault(what, {})[part] = float(row["value"])
    return found


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws a bar for each measurement that has parts, the phases above the whole runs, which have other parts.

    Args:
        rows: as in `benchmarks/results/frozen.json`.
        path: of the PNG; its folder is made.
    """
    from matplotlib.figure import Figure

    found = parts_of(rows)
    groups = [
        {name: parts for name, parts in sorted(found.items()) if name.startswith("whole:") is is_whole}
        for is_whole in (False, True)
    ]
    groups = [bars for bars in groups if bars]
    heights = [_HEIGHT_OF_LEGEND_IN + _HEIGHT_PER_BAR_IN * len(bars) for bars in groups]
    figure = Figure(figsize=(_WIDTH_IN, sum(heights)), layout="constrained")
    panels = figure.subplots(len(groups), squeeze=False, height_ratios=heights)
    for bars, axes in zip(groups, panels[:, 0], strict=True):
        _draw_bars(bars, axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _draw_bars(bars: Mapping[str, Mapping[str, float]], axes: Any) -> None:
    names = sorted({part for parts in bars.values() for part in parts}, key=_place)
    lefts = dict.fromkeys(bars, 0.0)
    longest = max(sum(parts.values()) for parts in bars.values())
    for part in names:
        widths = [parts.get(part, 0.0) for parts in bars.values()]
        drawn = axes.barh(list(bars), widths, left=list(lefts.values()), label=part)
        labels = [f"{width:.0f}" if width > _LEAST_SHARE_NAMED * longest else "" for width in widths]
        axes.bar_label(drawn, labels=labels, label_type="center", fontsize=8)
        lefts = {bar: left + width for (bar, left), width in zip(lefts.items(), widths, strict=True)}
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.22), ncols=3, fontsize=8, frameon=False)


def _place(part: str) -> tuple[int, str]:
    return (_ORDER.index(part), part) if part in _ORDER else (len(_ORDER), part)
