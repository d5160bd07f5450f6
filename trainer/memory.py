"""Too little memory on a device, in words."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from trainer.errors import ThawError
from trainer.settings import ModelSettings


@contextmanager
def explaining_lack(settings: ModelSettings) -> Iterator[None]:
    """Says what to try where a device has too little memory.

    Raises:
        ThawError: in the place of TensorFlow's own error.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        number = settings.compute.num_micro_batches
        in_parts = f" in {number} micro-batches" if number > 1 else ""
        raise ThawError(
            "the device has not enough memory for a batch_size_per_replica of "
            f"{settings.batch_size_per_replica}{in_parts}; try {remedies(settings)}"
        ) from error


def remedies(settings: ModelSettings) -> str:
    """What takes less memory and is allowed, what changes least first."""
    number, size = settings.compute.num_micro_batches, settings.batch_size_per_replica
    found = []
    more = next((parts for parts in range(2 * number, size + 1) if size % parts == 0), None)
    if more is not None and all(phase.batch_norm != "adapt" for phase in settings.phases):
        found.append(f"model.compute.num_micro_batches of {more}, which leaves the batch and what is learned as it is")
    half = size // 2 // number * number  # it must be possible to split it as the whole batch is
    if half:
        found.append(f"a batch_size_per_replica of {half}")
    return ", or ".join(found or ["a smaller image_size_px or backbone, or to unfreeze less"])
