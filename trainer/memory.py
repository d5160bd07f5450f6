"""Too little memory on a device, in words."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from trainer.errors import ThawError


@contextmanager
def explaining_lack(batch_size_per_replica: int) -> Iterator[None]:
    """Says what to try where a device has too little memory.

    Raises:
        ThawError: in the place of TensorFlow's own error.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        half = batch_size_per_replica // 2
        remedy = f"try {half}" if half else "try a smaller image_size_px or backbone, or unfreeze less"
        raise ThawError(
            f"the device has not enough memory for a batch_size_per_replica of {batch_size_per_replica}; {remedy}"
        ) from error
