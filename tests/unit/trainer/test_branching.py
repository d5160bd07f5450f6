"""Conditionals that stay one operation."""

import pytest
import tensorflow as tf

from trainer.branching import either, switch


def _sized(index: tf.Tensor) -> tf.Tensor:
    return switch(index, [lambda x: x, lambda x: x[:1], lambda x: x[:0]], tf.constant([1, 2, 3]))


@pytest.mark.parametrize(("index", "size"), [(0, 3), (1, 1), (2, 0), (7, 0), (-1, 0)])
def test_a_graph_and_python_take_the_same_branch_and_the_last_one_out_of_range(index: int, size: int) -> None:
    assert len(_sized(tf.constant(index))) == size
    assert len(tf.function(_sized)(tf.constant(index))) == size


def test_the_branches_are_not_spread_over_the_graph() -> None:
    graph = tf.function(_sized).get_concrete_function(tf.TensorSpec([], tf.int32)).graph
    (operation,) = [operation for operation in graph.get_operations() if operation.type == "StatelessCase"]
    assert "_lower_using_switch_merge" not in operation.node_def.attr


def test_the_shape_of_the_result_is_what_all_branches_agree_on() -> None:
    @tf.function
    def result(index: tf.Tensor) -> tf.Tensor:
        chosen = switch(index, [lambda x: x[:, :2], lambda x: x[:, :1]], tf.zeros([4, 3]))
        assert chosen.shape.as_list() == [4, None]
        return chosen

    assert result(tf.constant(1)).shape == [4, 1]


def test_a_structure_comes_back_as_a_structure() -> None:
    @tf.function
    def result(flag: tf.Tensor) -> dict[str, tf.Tensor]:
        return either(flag, lambda x: {"a": x, "b": x > 0}, lambda x: {"a": -x, "b": x < 0}, tf.constant(5))

    assert {name: value.numpy() for name, value in result(tf.constant(False)).items()} == {"a": -5, "b": False}


def test_a_branch_that_reaches_out_of_its_arguments_is_an_error() -> None:
    @tf.function
    def result(index: tf.Tensor) -> tf.Tensor:
        outside = tf.cast(index, tf.float32)
        return switch(index, [lambda x: x + outside, lambda x: x], tf.constant(0.0))

    with pytest.raises(ValueError, match="give them as inputs"):
        result(tf.constant(0))
