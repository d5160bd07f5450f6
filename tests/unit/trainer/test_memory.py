"""What to try where a device has too little memory."""

from typing import Any

import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings

from trainer.errors import ThawError
from trainer.memory import explaining_lack

ADAPTS = (head_phase(), fine_tune_phase(batch_norm="adapt"))
SMALLER = "a smaller image_size_px or backbone, or to unfreeze less"


def told(**changes: Any) -> str:
    with pytest.raises(ThawError) as found, explaining_lack(settings(**changes)):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    return str(found.value)


@pytest.mark.parametrize(
    ("size", "number", "more", "half"),
    [(16, 1, 2, 8), (16, 4, 8, 8), (16, 8, 16, 8), (12, 3, 6, 6), (12, 2, 4, 6), (7, 1, 7, 3), (16, 16, None, None)],
)
def test_micro_batches_come_first_and_every_value_is_allowed(
    size: int, number: int, more: int | None, half: int | None
) -> None:
    words = told(batch_size_per_replica=size, compute={"num_micro_batches": number})
    in_parts = f" in {number} micro-batches" if number > 1 else ""
    assert words.startswith(f"the device has not enough memory for a batch_size_per_replica of {size}{in_parts}; try ")
    if more is None or half is None:
        assert words.endswith(f"; try {SMALLER}")
        return
    first, second = words.partition("; try ")[2].split(", or ")
    assert first.startswith(f"model.compute.num_micro_batches of {more}, which leaves the batch")
    assert second == f"a batch_size_per_replica of {half}"
    settings(batch_size_per_replica=size, compute={"num_micro_batches": more})
    settings(batch_size_per_replica=half, compute={"num_micro_batches": number})


def test_micro_batches_are_not_proposed_where_statistics_adapt() -> None:
    assert told(phases=ADAPTS).endswith("; try a batch_size_per_replica of 8")


def test_a_batch_of_one_cannot_be_split_or_halved() -> None:
    assert told(batch_size_per_replica=1).endswith(f"; try {SMALLER}")


def test_other_errors_are_passed_on() -> None:
    with pytest.raises(tf.errors.NotFoundError), explaining_lack(settings()):
        raise tf.errors.NotFoundError(None, None, "no file")
