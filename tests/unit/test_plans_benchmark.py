"""What `benchmarks.plans` computes; the measurement itself runs on request."""

from itertools import combinations

import numpy as np
import pytest

from benchmarks import photograph_regions, plan_list, plans


def test_strips_of_different_splits_share_no_pixel_and_hold_the_largest_piece() -> None:
    for _, box in photograph_regions.REGIONS.values():
        strips = [photograph_regions.strip_of(box, split) for split in photograph_regions.NUM_PER_CLASS]
        for left, top, right, bottom in strips:
            assert min(right - left, bottom - top) >= 40
        for first, second in combinations(strips, 2):
            assert first[2] <= second[0] or first[3] <= second[1]


def test_the_same_seed_gives_the_same_pieces_and_every_class_as_many() -> None:
    images, label_ids = photograph_regions.examples_of("eval", seed=3)
    again, _ = photograph_regions.examples_of("eval", seed=3)
    other, _ = photograph_regions.examples_of("eval", seed=4)
    assert images.shape == (200, 32, 32, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, again)
    assert (images != other).any()
    assert np.bincount(label_ids).tolist() == [25] * 8


def test_no_plan_passes_over_the_data_more_often_than_another() -> None:
    limit = plan_list.NUM_EPOCHS_OF_HEAD + plan_list.NUM_EPOCHS_AFTER
    for phases in plan_list.PLANS.values():
        assert isinstance(phases, str) or sum(phase["epochs"] for phase in phases) == limit


def test_gains_are_taken_seed_by_seed() -> None:
    rows = [
        {"plan": "two-phase", "seed": 1, "accuracy": 0.9, "log_loss": 0.1, "num_trainable": 5, "duration_s": 1.0},
        {"plan": "frozen only", "seed": 0, "accuracy": 0.5, "log_loss": 0.3, "num_trainable": 2, "duration_s": 1.0},
        {"plan": "two-phase", "seed": 0, "accuracy": 0.7, "log_loss": 0.2, "num_trainable": 5, "duration_s": 1.0},
        {"plan": "frozen only", "seed": 1, "accuracy": 0.8, "log_loss": 0.3, "num_trainable": 2, "duration_s": 1.0},
    ]
    assert plans.gains_of(rows, "two-phase", over="frozen only") == pytest.approx([20, 10])


@pytest.mark.slow
def test_the_benchmark_of_plans_runs_through(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    plans.main(["--smoke"])
    shown = capsys.readouterr().out
    assert all(plan in shown for plan in ("frozen only", "two-phase", plan_list.GUIDE))
    assert "nothing was written" in shown
