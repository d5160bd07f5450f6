"""Conditionals that stay one operation of the graph.

TensorFlow spreads the branches of `tf.cond` and `tf.switch_case` over the graph around them ("lowering"), so that it
can run parts of a branch early; but then it visits each operation of the branches that are not taken as well. Where the
branches are hundreds of operations and the work is one photograph, that is a quarter of the time of decoding it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def switch(index: tf.Tensor, branches: Sequence[Callable[..., Any]], *inputs: tf.Tensor) -> Any:
    """Calls one of several functions; the others cost nothing.

    Args:
        index: int32 scalar, which one; the last where it is out of range.
        branches: take `inputs` and nothing else from the graph around them; all return the same structure of tensors.
        inputs: what the function is called with.

    Raises:
        ValueError: a branch takes a tensor from outside other than by its arguments.
    """
    if tf.executing_eagerly():  # TensorFlow 2.21 hangs in the operation there
        number = int(index)
        return branches[number if 0 <= number < len(branches) else -1](*inputs)
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    graphs = [
        tf.function(branch, input_signature=specs, autograph=False).get_concrete_function() for branch in branches
    ]
    for graph in graphs:
        if graph.captured_inputs:
            raise ValueError(f"a branch captures {graph.captured_inputs}; give them as inputs")
    outputs = [tf.nest.flatten(graph.structured_outputs) for graph in graphs]
    dtypes = [tensor.dtype for tensor in outputs[0]]
    results = tf.raw_ops.StatelessCase(
        branch_index=index, input=list(inputs), Tout=dtypes, branches=graphs, output_shapes=[]
    )
    for result, *of_branches in zip(results, *outputs, strict=True):
        result.set_shape(_common_shape([tensor.shape for tensor in of_branches]))
    return tf.nest.pack_sequence_as(graphs[0].structured_outputs, results)


def either(predicate: tf.Tensor, true: Callable[..., Any], false: Callable[..., Any], *inputs: tf.Tensor) -> Any:
    """As `switch`, by a bool scalar."""
    return switch(tf.cast(predicate, tf.int32), [false, true], *inputs)


def _common_shape(shapes: Sequence[tf.TensorShape]) -> tf.TensorShape:
    common = shapes[0].most_specific_common_supertype(shapes[1:])
    return tf.TensorShape(None) if common is None else common
