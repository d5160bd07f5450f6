"""The benchmark of start-ups: its arithmetic, and that it names every step."""

from benchmarks.steps import EXECUTORS, figures_of
from tests.contract.test_kubeflow_pipeline import STEPS


def test_every_step_is_measured() -> None:
    assert tuple(EXECUTORS) == STEPS


def test_rows_are_medians_and_the_median_of_ratios() -> None:
    seconds = {
        "Gate": {"thaw": [2.0, 4.0, 3.0], "stock": [8.0, 8.0, 9.0]},
        "Pusher": {"thaw": [1.0, 1.0, 1.0], "stock": [8.0, 8.0, 8.0]},
    }
    rows = {figure.name: figure.value for figure in figures_of(seconds, [1.0, 1.0, 2.0])}
    assert rows["Gate: thaw"] == 3.0
    assert rows["Gate: stock over thaw"] == 3.0
    assert (rows["all steps: thaw"], rows["all steps: stock"]) == (4.0, 16.0)
    assert rows["all steps: stock over thaw"] == 4.0
    assert rows["import tensorflow"] == 1.0
