"""Confusion matrices side by side, and their difference; of many classes, those with the most errors."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.gate.predictions import ModelName
from components.gate.report.answers import NO_ANSWER, Answers

MOST_CLASSES = 12
"""More are not legible: the rest is summed up."""

OTHERS = "all others"
_MINUS = "\N{MINUS SIGN}"

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: a count, or a signed difference.
        percent: how strongly it is coloured, 0 to 100.
        tone: "good" for right answers, or a change for the better; "bad"; "" for nothing.
    """

    text: str
    percent: int
    tone: str


@dataclass(frozen=True)
class Row:
    """The examples of one true class; `letter` is its column."""

    letter: str
    label: str
    cells: Sequence[Cell]
    num_examples: int


@dataclass(frozen=True)
class Matrix:
    """A matrix with a row per true class and a column per answer.

    Attributes:
        title: whose it is.
        rows: in the order of the columns.
        num_unanswered: examples that are left out, because the scores are not numbers.
    """

    title: str
    rows: Sequence[Row]
    num_unanswered: int = 0


@dataclass(frozen=True)
class Matrices:
    """All matrices of a report.

    Attributes:
        matrices: of the models, then the differences.
        num_classes: how many classes there are in all.
        num_shown: how many have a row of their own.
        wrong_among_others: wrong answers within the cell of the others, by model title.
    """

    matrices: Sequence[Matrix]
    num_classes: int
    num_shown: int
    wrong_among_others: Sequence[tuple[str, int]] = ()


def matrices_of(answers: Answers, titles: dict[ModelName, str]) -> Matrices:
    """The matrix of each model, and the candidate's less that of each other model.

    Args:
        answers: of all models.
        titles: the models to show, the candidate among them, in order.
    """
    full = {name: counts_of(answers, name) for name in titles}
    chosen = classes_with_most_errors(list(full.values()))
    labels = [answers.labels[index] for index in chosen]
    names = [*labels, OTHERS] if len(chosen) < len(answers.labels) else labels
    small = {name: gathered(counts, chosen) for name, counts in full.items()}
    shown = [
        Matrix(titles[name], _rows(names, counts), int((answers.named[name] == NO_ANSWER).sum()))
        for name, counts in small.items()
    ]
    differences = [
        Matrix(f"{titles['candidate']} less {titles[name]}", _difference_rows(names, small["candidate"], counts))
        for name, counts in small.items()
        if name != "candidate"
    ]
    wrong = [(titles[name], _wrong_among_others(counts, chosen)) for name, counts in full.items()]
    return Matrices(
        [*shown, *differences], len(answers.labels), len(chosen), wrong if OTHERS in names[len(labels) :] else ()
    )


def counts_of(answers: Answers, model: ModelName) -> Counts:
    """How many examples of each true class are named what: int64 [classes, classes]."""
    size = len(answers.labels)
    is_answer = answers.named[model] != NO_ANSWER
    pairs = answers.truth[is_answer] * size + answers.named[model][is_answer]
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)


def classes_with_most_errors(counts: Sequence[Counts], most: int = MOST_CLASSES) -> list[int]:
    """All classes where there are few; else those that most errors of all models begin or end at, in their order."""
    size = len(counts[0])
    if size <= most:
        return list(range(size))
    total = sum(counts)
    errors = total - np.diag(np.diag(total))
    num_errors = errors.sum(axis=0) + errors.sum(axis=1)
    return sorted(np.argsort(-num_errors, kind="stable")[: most - 1].tolist())


def gathered(counts: Counts, chosen: Sequence[int]) -> Counts:
    """The chosen classes, and the sum of all others as the last row and column where there are others."""
    if len(chosen) == len(counts):
        return counts
    group = np.full(len(counts), len(chosen))
    group[list(chosen)] = np.arange(len(chosen))
    result = np.zeros((len(chosen) + 1, len(chosen) + 1), np.int64)
    np.add.at(result, (group[:, None], group[None, :]), counts)
    return result


def _wrong_among_others(counts: Counts, chosen: Sequence[int]) -> int:
    rest = np.delete(np.delete(counts, chosen, axis=0), chosen, axis=1)
    return int(rest.sum() - np.trace(rest))


def _rows(names: Sequence[str], counts: Counts) -> list[Row]:
    def cell(truth: int, named: int) -> Cell:
        count, total = int(counts[truth, named]), int(counts[truth].sum())
        return Cell(f"{count:,}", _percent(count, total), ("good" if truth == named else "bad") * bool(count))

    return _build(names, counts, cell)


def _difference_rows(names: Sequence[str], ours: Counts, theirs: Counts) -> list[Row]:
    def cell(truth: int, named: int) -> Cell:
        change = int(ours[truth, named] - theirs[truth, named])
        is_better = (change > 0) == (truth == named)
        text = f"{change:+,}".replace("-", _MINUS) if change else "0"
        return Cell(
            text, _percent(abs(change), int(ours[truth].sum())), ("good" if is_better else "bad") * bool(change)
        )

    return _build(names, ours, cell)


def _build(names: Sequence[str], counts: Counts, cell: Callable[[int, int], Cell]) -> list[Row]:
    return [
        Row(
            string.ascii_uppercase[truth],
            name,
            [cell(truth, named) for named in range(len(names))],
            int(counts[truth].sum()),
        )
        for truth, name in enumerate(names)
    ]


def _percent(count: int, total: int) -> int:
    """The square root, so that a few are seen among many."""
    return round(100 * (count / total) ** 0.5) if total and count else 0
