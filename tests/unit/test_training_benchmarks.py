"""What the benchmarks of training compute; the measurements themselves run on request."""

import pytest

from benchmarks import gpu, steps_per_second


def test_the_loop_is_judged_by_the_median_ratio_of_its_rounds() -> None:
    rates = {"frozen": {"thaw": [10.0, 9.0, 1.0], "keras": [10.0, 10.0, 10.0]}}
    (figure,) = (figure for figure in steps_per_second.figures_of(rates) if figure.goal)
    assert (figure.value, figure.holds) == (0.9, False)


def test_powers_of_two_and_all_gpus_are_measured() -> None:
    names = [name for name in gpu.cases(6, on_cpu=False, sizes={}) if name.endswith("devices")]
    assert names == ["1 devices", "2 devices", "4 devices", "6 devices"]
    assert gpu.cases(1, on_cpu=False, sizes={})["1 devices"]["cpu_replicas"] is None


def test_scaling_is_held_against_that_many_times_one_device() -> None:
    rates = {
        "1 devices": 100.0,
        "2 devices": 170.0,
        "mixed": 200.0,
        "XLA": None,
        "mixed, XLA": 260.0,
        "from files": 195.0,
    }
    found = {figure.name: (figure.value, figure.holds) for figure in gpu.figures_of(rates)}
    assert found["2 devices: share of perfect scaling"] == (0.85, False)
    assert found["from files: share of the rate from memory"] == (0.975, True)
    assert found["XLA: over float32"] == (None, None)


@pytest.mark.slow
def test_without_a_gpu_the_gpu_benchmark_says_so_and_has_a_status_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    if gpu.num_gpus():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SystemExit) as caught:
        gpu.main([])
    assert caught.value.code == gpu.NO_GPU
    assert "TensorFlow sees no GPU on this machine" in capsys.readouterr().out


@pytest.mark.slow
def test_the_gpu_benchmark_runs_through_on_logical_cpu_devices(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--cpu-replicas", "2"])
    shown = capsys.readouterr().out
    assert "2 devices: " in shown
    assert "2 replicas: CPU:0, CPU:1; 8 examples a step, 4 on each" in shown
    assert "nothing was written" in shown


@pytest.mark.slow
def test_the_benchmark_of_steps_runs_through(capsys: pytest.CaptureFixture[str]) -> None:
    steps_per_second.main(["--smoke"])
    assert "unfrozen: thaw over keras fit" in capsys.readouterr().out
