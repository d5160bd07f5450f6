"""Where the trainable part of a backbone begins: from what is configured to layers."""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import keras

from trainer import layer_graph
from trainer.blocks import Block, blocks_of
from trainer.errors import ConfigurationError
from trainer.settings import Boundary


@dataclass(frozen=True)
class Resolved:
    """A boundary, resolved against a backbone.

    Attributes:
        first: index of the first unfrozen layer in `backbone.layers`; their number where all are frozen.
        layers: indices of the unfrozen layers.
    """

    first: int
    layers: frozenset[int]


def resolve(backbone: keras.Model, unfreeze: str | Boundary) -> Resolved:
    """Finds the layers that `unfreeze` names; a boundary within a block moves down to the block's first layer.

    A `pattern` names layers one by one, so it moves nothing. "auto" may be any of them until it has been searched, so
    it counts as "all".

    Raises:
        ConfigurationError: a name or a pattern that matches nothing, with the nearest names; more layers or blocks than
            there are.
    """
    layers = backbone.layers
    if unfreeze == "batch_norm":
        return _these({index for index, layer in enumerate(layers) if batch_norms_in(layer)}, len(layers))
    if isinstance(unfreeze, Boundary) and unfreeze.pattern is not None:
        return _these(_matching(unfreeze.pattern, backbone), len(layers))
    first = boundary_index(backbone, unfreeze)
    if isinstance(unfreeze, Boundary) and not unfreeze.cut_blocks:
        first = next(block.first for block in reversed(blocks_of(backbone)) if block.first <= first)
    return Resolved(first, frozenset(range(first, len(layers))))


def boundary_index(backbone: keras.Model, unfreeze: str | Boundary) -> int:
    """Index of the layer that `unfreeze` names, before it is moved to the start of its block; see `resolve`."""
    names = [layer.name for layer in backbone.layers]
    if not isinstance(unfreeze, Boundary):
        return 0 if unfreeze in ("all", "auto") else len(names)
    if unfreeze.layer is not None:
        return index_of("unfreeze.layer: no layer", unfreeze.layer, names, backbone.name)
    if unfreeze.last_layers is not None:
        return len(names) - _at_most(unfreeze.last_layers, len(names), "last_layers", "layers", backbone.name)
    if unfreeze.fraction is not None:
        # Rounded first: 0.07 of 100 is a little more than 7 in floating point.
        return len(names) - math.ceil(round(unfreeze.fraction * len(names), 6))
    return _first_block(backbone, unfreeze).first


def index_of(what: str, name: str, names: Sequence[str], where: str) -> int:
    """Index of a name; where it is not there, an error that begins with `what` and lists the nearest.

    Raises:
        ConfigurationError: it is not there.
    """
    if name in names:
        return names.index(name)
    raise ConfigurationError(f"{what} {name!r} in {where}; nearest: {', '.join(nearest(name, names))}")


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """Up to three names that are like one that is not there; the last ones where none is."""
    return difflib.get_close_matches(name, names, n=3, cutoff=0.4) or list(names[-3:])


def batch_norms_in(layer: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    """The BatchNormalization layers in a layer: itself, or those in a nested model."""
    return [leaf for leaf in layer_graph.leaves(layer) if isinstance(leaf, keras.layers.BatchNormalization)]


def num_parameters(layer: keras.layers.Layer) -> int:
    """How many numbers a layer's variables have."""
    return sum(math.prod(variable.shape) for variable in layer.weights)


def operation_index(backbone: keras.Model, first: int) -> int:
    """Where the layer of an index stands in `backbone.operations`; their number for the index after the last."""
    if first == len(backbone.layers):
        return len(backbone.operations)
    return [id(operation) for operation in backbone.operations].index(id(backbone.layers[first]))


def _these(indices: set[int], num_layers: int) -> Resolved:
    return Resolved(min(indices, default=num_layers), frozenset(indices))


def _matching(pattern: str, backbone: keras.Model) -> set[int]:
    names = [layer.name for layer in backbone.layers]
    found = {index for index, name in enumerate(names) if re.fullmatch(pattern, name)}
    if not found:
        near = ", ".join(nearest(pattern, names))
        raise ConfigurationError(
            f"unfreeze.pattern: {pattern!r} matches the whole name of no layer in {backbone.name}; nearest: {near}"
        )
    return found


def _first_block(backbone: keras.Model, unfreeze: Boundary) -> Block:
    blocks = blocks_of(backbone)
    if unfreeze.block is not None:
        names = [block.name for block in blocks]
        return blocks[index_of("unfreeze.block: no block", unfreeze.block, names, backbone.name)]
    if unfreeze.last_blocks is not None:
        return blocks[-_at_most(unfreeze.last_blocks, len(blocks), "last_blocks", "blocks", backbone.name)]
    assert unfreeze.parameter_fraction is not None
    return _block_by_parameters(backbone, blocks, unfreeze.parameter_fraction)


def _block_by_parameters(backbone: keras.Model, blocks: Sequence[Block], fraction: float) -> Block:
    """The lowest block from which up there are at most so many parameters; the last one where it alone has more."""
    sizes = [
        sum(num_parameters(layer) for layer in backbone.layers[block.first : block.last + 1])
        for block in reversed(blocks)
    ]
    allowed = fraction * sum(sizes) * (1 + 1e-9)
    num_blocks = sum(total <= allowed for total in accumulate(sizes))
    return blocks[-max(num_blocks, 1)]


def _at_most(number: int, limit: int, key: str, what: str, backbone: str) -> int:
    if number > limit:
        raise ConfigurationError(
            f"unfreeze.{key} is {number}, but {backbone} has {limit} {what}; use `unfreeze: all` for all of them"
        )
    return number
