"""The weights of examples: read from their records, and checked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.errors import ThawError
from trainer.features import WEIGHT

WEIGHT_SPEC = tf.io.FixedLenFeature([], tf.float32, default_value=1.0)


def weights_of(files: Sequence[str]) -> np.ndarray[Any, Any]:
    """How much each example of these TFRecord files counts: float64 [examples]; 1 where nothing is said."""
    spec = {WEIGHT: WEIGHT_SPEC}
    found = (
        [tf.io.parse_example(batch, spec)[WEIGHT].numpy() for batch in tf.data.TFRecordDataset(files).batch(256)]
        if files
        else []
    )
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)


def check_weights(weights: np.ndarray[Any, Any], name: str) -> None:
    """Checks that there is something to go by.

    Args:
        weights: of a split's examples.
        name: of the split, for errors.

    Raises:
        ThawError: a weight is negative or no number, or all are 0.
    """
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise ThawError(
            f"{len(wrong)} examples of {name} have a weight that is negative or no number, such as "
            f"{weights[wrong[0]]:g}; weights must be 0 or more"
        )
    if not weights.any():
        raise ThawError(f"every example of {name} has the weight 0, so there is nothing to go by; give some a weight")
