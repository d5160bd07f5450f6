"""The blocks of a backbone, found in its graph: the units that are frozen, unfrozen and given rates.

Between two *clean cuts* of a graph, places where a single tensor crosses, lies a segment that cannot be divided: a
layer of a plain chain, or a whole residual block with its shortcut. A block is a segment with a kernel (a weight of two
or more dimensions), together with the segments without one that follow: normalization, activation, padding, pooling.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import keras

from trainer import layer_graph


@dataclass(frozen=True)
class Block:
    """A run of layers of a backbone.

    Attributes:
        name: unique in the backbone: what the names of its layers with weights have in common, or the first of them.
        first: index of its first layer in `backbone.layers`.
        last: index of its last layer.
    """

    name: str
    first: int
    last: int


def blocks_of(backbone: keras.Model) -> tuple[Block, ...]:
    """All blocks of a Functional model, from its input up; every layer is in one. A model without kernels is one block.

    Raises:
        ValueError: the backbone calls one of its layers more than once.
    """
    operations, layers = backbone.operations, backbone.layers
    index_of = {id(layer): index for index, layer in enumerate(layers)}
    starts = [
        next(index_of[id(operation)] for operation in operations[start:] if id(operation) in index_of)
        for start in _starts(backbone)
    ]
    runs = list(pairwise([*starts, len(layers)]))
    return tuple(
        Block(name, first, end - 1)
        for name, (first, end) in zip(_names([layers[first:end] for first, end in runs]), runs, strict=True)
    )


def _starts(backbone: keras.Model) -> list[int]:
    """Positions in `backbone.operations`; the first block begins at the input, before its kernel."""
    operations = backbone.operations
    cuts = [position for position, tensors in enumerate(layer_graph.crossing(backbone)) if len(tensors) == 1]
    with_kernel = [
        start for start, end in pairwise(cuts) if any(_has_kernel(operation) for operation in operations[start:end])
    ]
    return [0, *with_kernel[1:]]


def _has_kernel(operation: Any) -> bool:
    """Not asked of `trainable_variables`, which are none in a frozen layer."""
    return isinstance(operation, keras.layers.Layer) and any(len(weight.shape) >= 2 for weight in operation.weights)


def _names(blocks: list[list[keras.layers.Layer]]) -> list[str]:
    members = [_telling_names(layers) for layers in blocks]
    prefixes = [_common_words(names) for names in members]
    counts = Counter(prefixes)
    names = [
        prefix if prefix and counts[prefix] == 1 else own[0] for prefix, own in zip(prefixes, members, strict=True)
    ]
    return names if len(set(names)) == len(names) else [layers[0].name for layers in blocks]


def _telling_names(layers: list[keras.layers.Layer]) -> list[str]:
    """Names of the layers with weights, from the first kernel up: the stem's input and rescaling say nothing of it."""
    kernels = [index for index, layer in enumerate(layers) if _has_kernel(layer)]
    found = [layer.name for layer in layers[kernels[0] :] if layer.weights] if kernels else []
    return found or [layer.name for layer in layers]


def _common_words(names: list[str]) -> str:
    columns = zip(*(name.split("_") for name in names), strict=False)
    return "_".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns))
