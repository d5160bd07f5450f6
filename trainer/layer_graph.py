"""The graph of a Functional model: its layers, its clean cuts, and running it with a `training` of each layer's own."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import chain
from typing import Any

import keras
import tensorflow as tf

# Whether a layer is called in training mode: a Python boolean, for a layer that is no model itself.
TrainingOf = Callable[[keras.layers.Layer], bool]


@tf.autograph.experimental.do_not_convert  # plain Python, for every layer: converting it takes time at each trace
def run(graph: keras.Model, inputs: Any, training_of: TrainingOf, detached: frozenset[int] = frozenset()) -> Any:
    """Calls a Functional model, with a `training` argument of each layer's own, those in nested models included.

    A Functional model hands the `training` that it is called with on to every layer, over whatever argument the layer
    was given when the model was built (Keras 3.15). So there is no public way to have Dropout of one layer on, that of
    another off, and a trainable BatchNormalization use its stored statistics. This goes through the graph as
    `Functional.call` does; `tests/contract/test_stack.py` holds the method that it goes with.

    Args:
        graph: a Functional or Sequential model.
        inputs: tensor [batch, …].
        training_of: asked once for each layer whose call takes `training`.
        detached: `id`s of operations of the graph whose outputs let no gradient through.
    """
    if isinstance(graph, keras.Sequential):
        return reduce(lambda values, layer: _caller(layer, training_of)(values), graph.layers, inputs)

    def caller(operation: Any) -> Callable[..., Any]:
        call = _caller(operation, training_of)
        return _detaching(call) if id(operation) in detached else call

    return graph._run_through_graph(inputs, operation_fn=caller)


def leaves(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers within that are no models: of a layer, itself."""
    if not isinstance(layer, keras.Model):
        yield layer
        return
    for inner in layer.layers:
        yield from leaves(inner)


def crossing(graph: keras.Model) -> list[tuple[int, ...]]:
    """What crosses from the operations before each position to the others.

    Returns:
        For each position 0…len(graph.operations), the positions of the operations before it that have an output which
        is needed at it or later; an operation is there once for each such output.

    Raises:
        ValueError: the graph calls one layer more than once, so that the layer has no single place in it.
    """
    nodes = nodes_of(graph)
    last = {id(tensor): position for position, node in enumerate(nodes) for tensor in node.input_tensors}
    last |= {id(tensor): len(nodes) for tensor in graph.outputs}
    crossings: list[list[int]] = [[] for _ in range(len(nodes) + 1)]
    for position, node in enumerate(nodes):
        for tensor in node.output_tensors:
            for later in range(position + 1, last.get(id(tensor), position) + 1):
                crossings[later].append(position)
    return [tuple(positions) for positions in crossings]


def tensors_crossing(graph: keras.Model, position: int) -> tuple[keras.KerasTensor, ...]:
    """The tensors of the graph that cross a position, see `crossing`; at its end, the graph's outputs."""
    nodes = nodes_of(graph)
    if position == len(nodes):
        return tuple(graph.outputs)
    needed = {id(tensor) for node in nodes[position:] for tensor in node.input_tensors}
    needed |= {id(tensor) for tensor in graph.outputs}
    return tuple(tensor for node in nodes[:position] for tensor in node.output_tensors if id(tensor) in needed)


@tf.autograph.experimental.do_not_convert
def run_below(graph: keras.Model, inputs: Any, positions: Sequence[int]) -> tuple[tuple[Any, ...], ...]:
    """What crosses each of some positions, all below the highest of them in inference mode.

    Args:
        graph: a Functional model.
        inputs: tensor [batch, …].
        positions: in `graph.operations`, from 1 up.

    Returns:
        For each position, the values of `tensors_crossing`.
    """
    values = dict(zip(map(id, graph.inputs), keras.tree.flatten(inputs), strict=True))
    _run_nodes(nodes_of(graph)[: max(positions)], values, lambda operation: _caller(operation, lambda _: False))
    return tuple(tuple(values[id(tensor)] for tensor in tensors_crossing(graph, position)) for position in positions)


@tf.autograph.experimental.do_not_convert
def run_above(graph: keras.Model, crossing_values: Sequence[Any], position: int, training_of: TrainingOf) -> Any:
    """The graph's output from what crosses a position.

    Args:
        graph: a Functional model with one output.
        crossing_values: as `run_below` gave them.
        position: in `graph.operations`.
        training_of: asked once for each layer from the position on whose call takes `training`.
    """
    values = dict(zip(map(id, tensors_crossing(graph, position)), crossing_values, strict=True))
    _run_nodes(nodes_of(graph)[position:], values, lambda operation: _caller(operation, training_of))
    (output,) = graph.outputs
    return values[id(output)]


def _run_nodes(nodes: Sequence[Any], values: dict[int, Any], caller: Callable[[Any], Callable[..., Any]]) -> None:
    """Calls the operations in order, taking their inputs from `values` and adding their outputs to it."""
    for node in nodes:
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(values)
        outputs = caller(node.operation)(*args, **kwargs)
        values.update(zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=True))


def nodes_of(graph: keras.Model) -> list[Any]:
    """The one call of each operation in the graph, in order. An operation itself lists those in other models too."""
    of_operation: dict[int, Any] = {}
    for node in chain.from_iterable(graph._nodes_by_depth.values()):
        if of_operation.setdefault(id(node.operation), node) is not node:
            raise ValueError(
                f"{graph.name} calls its layer {node.operation.name!r} more than once; blocks and boundaries need each "
                "layer in one place"
            )
    return [of_operation[id(operation)] for operation in graph.operations]


def _caller(operation: Any, training_of: TrainingOf) -> Callable[..., Any]:
    if isinstance(operation, keras.Sequential) or _is_functional(operation):
        return lambda inputs, **_: run(operation, inputs, training_of)  # `mask` is None: images have none
    if "training" not in inspect.signature(operation.call).parameters:
        return operation
    return lambda *args, **kwargs: operation(*args, **{**kwargs, "training": training_of(operation)})


def _is_functional(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and hasattr(operation, "operations")


def _detaching(call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: keras.tree.map_structure(keras.ops.stop_gradient, call(*args, **kwargs))
