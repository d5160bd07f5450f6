"""Charts as plain geometry, which `plot.html.j2` draws: SVG in the page's own colours, light or dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

WIDTH, HEIGHT = 340, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 332, 18, 192
_NUM_TICKS = 5
_LOG_FROM = 30
"""A ratio of the largest to the smallest value from which an axis is logarithmic."""

Style = Literal["train", "eval", "candidate", "baseline", "production"]
Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, in pixels, and what stands beside it."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A line.

    Attributes:
        name: in the legend.
        style: decides colour, dashes and the shape of marks.
        pieces: "x,y x,y …" in pixels, interrupted where a value is missing.
        marks: where a mark stands, in pixels, with its size.
        bars: vertical intervals (x, top, bottom) in pixels.
    """

    name: str
    style: Style
    pieces: Sequence[str] = ()
    marks: Sequence[tuple[float, float, float]] = ()
    bars: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Plot:
    """A chart with its text alternative.

    Attributes:
        key: unique on the page.
        title: what it shows.
        description: what can be seen in it, in words.
        x_label: of the axis.
        y_label: of the axis.
        x_ticks: of the axis.
        y_ticks: of the axis.
        curves: the lines.
        boundaries: vertical lines with a few characters at their top.
        diagonal: ends of a line of reference, in pixels, or None.
        kept: the marks that stand out, in pixels.
    """

    key: str
    title: str
    description: str
    x_label: str
    y_label: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    curves: Sequence[Curve]
    boundaries: Sequence[Tick] = ()
    diagonal: tuple[float, float, float, float] | None = None
    kept: Sequence[Point] = field(default=())


@dataclass(frozen=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: value at `start`.
        high: value at `end`.
        start: pixel.
        end: pixel.
        is_log: whether equal ratios are equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (
            (math.log10(part) for part in (self.low, self.high, value))
            if self.is_log
            else (
                self.low,
                self.high,
                value,
            )
        )
        return round(self.start + (at - low) / ((high - low) or 1) * (self.end - self.start), 1)

    def ticks(self) -> list[Tick]:
        """Round values within the scale."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        locator = LogLocator(numticks=_NUM_TICKS) if self.is_log else MaxNLocator(_NUM_TICKS, steps=[1, 2, 2.5, 5, 10])
        slack = 1e-9 * abs(self.high - self.low)
        values = [
            value
            for value in map(float, locator.tick_values(self.low, self.high))
            if self.low - slack <= value <= self.high + slack
        ]
        return [
            Tick(self(value), f"{value:.10g}" if abs(value) >= 1e-3 or not value else f"{value:.0e}")
            for value in values
        ]


def scale_of(values: Sequence[float | None], start: float, end: float, *, always_log: bool = False) -> Scale:
    """A scale that holds all values that are numbers; logarithmic where they are of very different sizes."""
    known = [value for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if low > 0 and (always_log or high / low > _LOG_FROM):
        low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
        return Scale(low, high * 10 if high == low else high, start, end, is_log=True)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return Scale(max(low - margin, 0.0) if low >= 0 else low - margin, high + margin, start, end)


def curve_of(name: str, style: Style, points: Sequence[tuple[float, float | None]], x: Scale, y: Scale) -> Curve:
    """A line through the points that have a value; a lone one becomes a mark."""
    pieces: list[list[Point]] = [[]]
    for at, value in points:
        is_drawn = value is not None and math.isfinite(value) and (value > 0 or not y.is_log)
        if is_drawn and value is not None:
            pieces[-1].append((x(at), y(value)))
        elif pieces[-1]:
            pieces.append([])
    return Curve(
        name,
        style,
        pieces=[" ".join(f"{left:g},{top:g}" for left, top in piece) for piece in pieces if len(piece) > 1],
        marks=[(*piece[0], 3.0) for piece in pieces if len(piece) == 1],
    )
