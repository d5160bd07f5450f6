"""Figures, the goals they are held against, and the files that keep them."""

import json
import operator
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results"

Relation = Literal[">=", ">", "<=", "<"]
_RELATIONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}


@dataclass(frozen=True)
class Goal:
    """What a figure should be, such as `Goal(">=", 0.3)`."""

    relation: Relation
    threshold: float

    def holds_for(self, value: float | None) -> bool:
        """Whether it is met; a figure that could not be taken does not meet it."""
        return value is not None and bool(_RELATIONS[self.relation](value, self.threshold))

    def __str__(self) -> str:
        return f"{self.relation} {self.threshold:g}"


@dataclass(frozen=True)
class Figure:
    """One row of a result.

    Attributes:
        name: what was measured.
        value: None where it could not be taken.
        unit: of the value.
        goal: None where the figure is for information.
    """

    name: str
    value: float | None
    unit: str
    goal: Goal | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        return self.goal.holds_for(self.value) if self.goal else None

    def to_json(self) -> dict[str, Any]:
        """The row as it is kept, with keys name, value, unit, goal, holds."""
        return {
            "name": self.name,
            "value": None if self.value is None else float(f"{self.value:.4g}"),
            "unit": self.unit,
            "goal": str(self.goal) if self.goal else None,
            "holds": self.holds,
        }


def without_goals(figures: Sequence[Figure]) -> list[Figure]:
    """The same figures for information only: a trial on little data proves nothing."""
    return [Figure(figure.name, figure.value, figure.unit) for figure in figures]


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Quotient, or None where a part is missing or the denominator is zero."""
    return numerator / denominator if numerator is not None and denominator else None


def slope_per_s(sizes: tuple[int, int], seconds: tuple[float, float]) -> float | None:
    """Units per second between two sizes, which leaves fixed costs out; None where more units took no longer."""
    duration_s = seconds[1] - seconds[0]
    return (sizes[1] - sizes[0]) / duration_s if duration_s > 0 else None


def fixed_cost_s(size: int, seconds: float, per_second: float | None) -> float | None:
    """What the line through two sizes leaves for no units at all."""
    return seconds - size / per_second if per_second else None


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the latter is 0 for one value."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def write_results(name: str, figures: Sequence[Figure], machine: Mapping[str, Any], folder: Path) -> Path:
    """Writes `NAME.json`, a list of rows, and `NAME.machine.json`, what they were measured on.

    Returns:
        Path of the rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}.machine.json", dict(machine))
    path = folder / f"{name}.json"
    _write(path, [figure.to_json() for figure in figures])
    return path


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
