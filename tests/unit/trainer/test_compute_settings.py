"""What `compute` of a plan is settled to on some devices, and what is refused."""

import pytest
from tiny import fine_tune_phase, head_phase, settings

from trainer import compute, precision
from trainer.devices import make_strategy
from trainer.precision import best_precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([(9, 0)], "mixed_bfloat16"),
        ([(8, 0), (7, 5)], "mixed_float16"),
        ([(6, 1)], "float32"),
        ([], "float32"),
    ],
)
def test_auto_is_what_the_oldest_gpu_is_good_for(capabilities: list[tuple[int, int]], expected: str) -> None:
    assert best_precision(capabilities) == expected


def test_auto_is_settled_before_training_by_what_the_devices_are_good_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what a step looks at to know whether the loss has a scale."""
    plan = settings(compute={"precision": "auto"})
    assert compute.resolve(plan, make_strategy(1)).compute.precision == "float32"
    monkeypatch.setattr(precision, "precision_of_devices", lambda: "mixed_float16")
    assert compute.resolve(plan, make_strategy(1)).compute.precision == "mixed_float16"


def test_a_batch_that_cannot_be_split_evenly_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be split into 3 equal parts; choose a divisor"):
        settings(compute={"num_micro_batches": 3})


def test_statistics_of_parts_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="phase 'fine_tune' has batch_norm adapt"):
        settings(compute={"num_micro_batches": 2}, phases=(head_phase(), fine_tune_phase(batch_norm="adapt")))


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1), ("linear", 2), ("sqrt", 2**0.5)])
def test_rates_are_scaled_for_the_replicas_once_and_only_if_asked_for(scaling: str, factor: float) -> None:
    phases = (head_phase(), fine_tune_phase(), fine_tune_phase(name="last", learning_rate="auto"))
    probe = head_phase(name="probe", learning_rate=0.03)
    plan = settings(compute={"learning_rate_scaling": scaling}, phases=phases, baseline="probe", probe=probe)
    strategy = make_strategy(2)
    resolved = compute.resolve(plan, strategy)
    rates = [phase.learning_rate for phase in (*resolved.phases, resolved.probe)]
    assert rates[:2] + rates[3:] == pytest.approx([0.02 * factor, 0.005 * factor, 0.03 * factor])
    assert rates[2] == "auto"
    assert compute.resolve(resolved, strategy) == resolved
    assert compute.resolve(plan, make_strategy(1)).phases == plan.phases


def test_global_batch_rates_and_precision_are_said_in_words() -> None:
    plan = settings(compute={"precision": "auto", "learning_rate_scaling": "linear", "num_micro_batches": 2})
    words = compute.describe(plan, make_strategy(2))
    assert words.startswith("2 replicas: CPU:0, CPU:1")
    assert words.endswith(
        "; 32 examples a step, 16 on each, in 2 parts; learning rates times 2 (linear); float32 (auto)"
    )
