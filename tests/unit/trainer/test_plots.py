"""The curves of a training as a picture."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image
from tiny import fine_tune_phase, head_phase

from trainer.freeze_contract import ContractReport
from trainer.freezing import BatchNormSet, TrainableSet
from trainer.history import EpochRecord, PhaseRecord
from trainer.plots import draw_curves
from trainer.settings import PhaseSettings


def phase(settings: PhaseSettings, losses: list[float], best_epoch: int) -> PhaseRecord:
    batch_norm = BatchNormSet("frozen", 0, False, "stored")
    trainable = TrainableSet(None, (), (), (), 1234, 5678, batch_norm)
    epochs = tuple(
        EpochRecord(settings.name, number, loss + 0.1, 0.5, loss, 0.6, {"head": settings.learning_rate})
        for number, loss in enumerate(losses, start=1)
    )
    return PhaseRecord(settings, trainable, ContractReport(settings.name, 0, 0, 1, (), ""), epochs, best_epoch)


def test_curves_have_a_line_where_a_phase_ends_and_a_dot_at_each_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    subplots = Figure.subplots

    def remember(figure: Figure, *arguments: object, **options: object) -> object:
        drawn.append(figure)
        return subplots(figure, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "subplots", remember)
    phases = [phase(head_phase(), [1.0, 0.6, 0.7], 2), phase(fine_tune_phase(), [0.5, float("nan")], 1)]
    draw_curves(phases, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (900, 800)
    loss, _, rates = drawn[0].axes
    dots = [tuple(line.get_xydata()[0]) for line in loss.lines if line.get_marker() == "o"]
    assert dots == [(2, 0.6), (4, 0.5)]
    assert [line.get_xdata()[0] for line in loss.lines if line.get_linestyle() == "--"] == [3.5]
    assert [text.get_text() for text in loss.texts] == [
        "head\n1,234 parameters train",
        "fine_tune\n1,234 parameters train",
    ]
    assert [len(line.get_xdata()) for line in rates.lines if line.get_linestyle() != "--"] == [3, 2]
