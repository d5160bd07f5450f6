"""TensorBoard's event files, read back."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def tags(folder: Path) -> set[str]:
    return set(_accumulated(folder).Tags()["tensors"])


def points(folder: Path, tag: str) -> list[tuple[int, Any]]:
    """(step, value) of each point of a tag."""
    return [(event.step, tf.make_ndarray(event.tensor_proto)) for event in _accumulated(folder).Tensors(tag)]


def scalars(folder: Path, tag: str) -> dict[int, float]:
    """By step; the last one where a step has several."""
    return {step: float(value) for step, value in points(folder, tag)}


def image(value: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] of the point of an image summary."""
    width, height, content = value
    decoded = tf.io.decode_png(content).numpy()
    assert decoded.shape[:2] == (int(height), int(width))
    return decoded


def _accumulated(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
