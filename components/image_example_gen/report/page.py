"""The report as one HTML page that needs nothing else: pictures inside, no script, nothing from elsewhere."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.image_example_gen.report.content import DataReport
from components.pages.rendering import render

MAX_REFUSED_LISTED = 200
_TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class ClassRow:
    """One line of the table of classes; `counts` and `percents` (of the largest class) go with the splits."""

    label: str
    counts: Sequence[int]
    percents: Sequence[float]
    total: int


@dataclass(frozen=True)
class BalanceRow:
    """One split: its photographs, their share of all, and how far a class's share departs from its share of all."""

    split: str
    num_photographs: int
    percent: float
    furthest_label: str
    furthest_points: float


def page(report: DataReport) -> str:
    """The page, as HTML in UTF-8."""
    return render(Path(__file__).parent / "templates", _TEMPLATE, _values(report))


def _values(report: DataReport) -> dict[str, Any]:
    refused = report.num_refused or {}
    return {
        "report": report,
        "splits": list(report.num_by_split),
        "rows": class_rows(report),
        "balance": balance_rows(report),
        "num_photographs": sum(sum(counts.values()) for counts in report.num_by_split.values()),
        "num_refused": sum(sum(counts.values()) for counts in refused.values()),
        "refused_labels": sorted({label for counts in refused.values() for label in counts}),
        "refused_by_reason": sorted(refused.items(), key=lambda item: (-sum(item[1].values()), item[0])),
        "listed": report.refused[:MAX_REFUSED_LISTED],
        "sizes_png": size_chart(report.sizes_px) if len(set(report.sizes_px)) > 1 else None,
        "common_sizes": Counter(report.sizes_px).most_common(5),
        "formats": sorted((report.num_by_format or {}).items(), key=lambda item: (-item[1], item[0])),
    }


def class_rows(report: DataReport) -> list[ClassRow]:
    """The table of classes, in the order of the report; classes it does not name come last."""
    named = set(report.labels)
    others = sorted({label for counts in report.num_by_split.values() for label in counts} - named)
    counts = {
        label: [split.get(label, 0) for split in report.num_by_split.values()] for label in [*report.labels, *others]
    }
    largest = max((sum(numbers) for numbers in counts.values()), default=0) or 1
    return [
        ClassRow(label, numbers, [100 * number / largest for number in numbers], sum(numbers))
        for label, numbers in counts.items()
    ]


def balance_rows(report: DataReport) -> list[BalanceRow]:
    """How the splits differ in what they hold."""
    totals: Counter[str] = Counter()
    for counts in report.num_by_split.values():
        totals.update(counts)
    return [_balance(split, counts, totals) for split, counts in report.num_by_split.items()]


def _balance(split: str, counts: Mapping[str, int], totals: Mapping[str, int]) -> BalanceRow:
    num_here, num_all = sum(counts.values()), sum(totals.values())
    points = {
        label: 100 * (counts.get(label, 0) / (num_here or 1) - total / (num_all or 1))
        for label, total in sorted(totals.items())
    }
    label = max(points, key=lambda name: round(abs(points[name]), 6), default="")
    return BalanceRow(split, num_here, 100 * num_here / (num_all or 1), label, points.get(label, 0.0))


def size_chart(sizes_px: Sequence[tuple[int, int]]) -> bytes:
    """Histograms of width and height, as a PNG file on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, values, name in zip(axes, zip(*sizes_px, strict=True), ("width", "height"), strict=True):
        axis.hist(values, bins=30 if min(values) < max(values) else 1, color="#3b6ea5")
        axis.set_xlabel(f"{name}, pixels")
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("photographs")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
