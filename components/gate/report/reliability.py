"""Whether a model is right as often as it says: the bins of the calibration error, drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.gate.predictions import ModelName
from components.gate.report.answers import Answers
from components.gate.report.plots import BOTTOM, LEFT, RIGHT, TOP, Curve, Plot, Scale
from components.gate.statistics.metrics import NUM_CALIBRATION_BINS
from components.gate.statistics.proportions import share_bounds

_LEAST_RADIUS, _MOST_RADIUS = 2.0, 6.0


@dataclass(frozen=True)
class Bin:
    """The examples to whose answer a model gives a probability within some bounds.

    Attributes:
        low: least probability.
        high: most.
        num_examples: how many there are.
        confidence: their mean probability.
        accuracy: the share that is right.
        bounds: of that share, at the gate's level.
    """

    low: float
    high: float
    num_examples: int
    confidence: float
    accuracy: float
    bounds: tuple[float, float]


def bins_of(answers: Answers, model: ModelName, alpha: float) -> list[Bin]:
    """The bins that hold an example; examples without an answer are in none."""
    confidence = answers.confidence[model]
    is_answer = np.isfinite(confidence)
    number = np.minimum(np.nan_to_num(confidence) * NUM_CALIBRATION_BINS, NUM_CALIBRATION_BINS - 1).astype(int)
    found = []
    for index in range(NUM_CALIBRATION_BINS):
        chosen = is_answer & (number == index)
        size, num_right = int(chosen.sum()), int(answers.is_right(model)[chosen].sum())
        if size:
            low, high = share_bounds(num_right, size, alpha)
            edges = (index / NUM_CALIBRATION_BINS, (index + 1) / NUM_CALIBRATION_BINS)
            mean = float(confidence[chosen].mean())
            found.append(Bin(*edges, size, mean, num_right / size, (float(low), float(high))))
    return found


def reliability_plots(bins: Mapping[ModelName, Sequence[Bin]], titles: Mapping[ModelName, str]) -> list[Plot]:
    """A chart for each model: the share that is right against the probability that it says."""
    x, y = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, BOTTOM, TOP)
    return [_plot(name, titles[name], found, x, y) for name, found in bins.items()]


def _plot(name: ModelName, title: str, bins: Sequence[Bin], x: Scale, y: Scale) -> Plot:
    most = max((part.num_examples for part in bins), default=1)
    points = [(x(part.confidence), y(part.accuracy)) for part in bins]
    radii = [max(_LEAST_RADIUS, _MOST_RADIUS * (part.num_examples / most) ** 0.5) for part in bins]
    curve = Curve(
        title,
        name,
        pieces=[" ".join(f"{left:g},{top:g}" for left, top in points)] if len(points) > 1 else [],
        marks=[(left, top, round(radius, 1)) for (left, top), radius in zip(points, radii, strict=True)],
        bars=[(x(part.confidence), y(part.bounds[1]), y(part.bounds[0])) for part in bins],
    )
    total = sum(part.num_examples for part in bins)
    surplus = sum(part.num_examples * (part.confidence - part.accuracy) for part in bins) / total if total else 0.0
    words = "more often right than it says" if surplus < 0 else "less often right than it says"
    return Plot(
        key=f"reliability-{name}",
        title=title,
        description=f"Share of right answers against their probability, in {len(bins)} bins of {total:,} examples; on "
        f"average the model is {abs(surplus):.4f} {words}. Points on the diagonal are right as often as they say.",
        x_label="probability of its answer",
        y_label="share that is right",
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        curves=[curve],
        diagonal=(LEFT, BOTTOM, RIGHT, TOP),
    )
