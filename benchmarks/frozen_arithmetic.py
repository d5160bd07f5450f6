"""How many multiply-adds a backbone's layers take for an image, and what a phase comes to; from their shapes alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def multiply_adds(backbone: Any) -> dict[str, int]:
    """Of each layer with a kernel, by its name, in the order of the backbone.

    A convolution multiplies each number of its kernel once at each place of its output; one that works on each channel
    by itself has a kernel without the other channels, so the same holds. Biases and normalisation are left out.

    Args:
        backbone: a Keras model with known shapes, channels last.
    """
    found = {}
    for layer in backbone.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            places = math.prod(layer.output.shape[1:-1])
            found[layer.name] = math.prod(kernel.shape) * places
    return found


def split_at(by_layer: Mapping[str, int], layers: Sequence[str], first: int) -> tuple[int, int]:
    """Multiply-adds below and above a freeze boundary.

    Args:
        by_layer: of `multiply_adds`.
        layers: names of all layers.
        first: index of the first unfrozen one.
    """
    above = sum(by_layer.get(name, 0) for name in layers[first:])
    return sum(by_layer.values()) - above, above


def limit_in_passes(below: int, above: int, num_train: int, num_evaluated: int, num_epochs: int) -> float:
    """The least work of a phase, in multiples of one forward pass of the whole backbone over all images.

    Above the boundary an image that is trained on goes forward once, and backward at the price of two more, in every
    epoch; one that is evaluated on goes forward in every epoch; below, each image goes forward once.
    """
    num_images = num_train + num_evaluated
    work = above * num_epochs * (3 * num_train + num_evaluated) + below * num_images
    return work / ((below + above) * num_images)
