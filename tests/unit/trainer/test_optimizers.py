"""What one update does: clipping over replicas, decay of weights, rates of groups, state that is carried over."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings

from trainer.devices import make_strategy
from trainer.optimizers import Carried, Optimizers, build
from trainer.rate_groups import RateGroup

KERNEL, BIAS = "layer/kernel", "layer/bias"


@pytest.fixture(params=[1, 2], ids=["1 replica", "2 replicas"])
def strategy(request: pytest.FixtureRequest) -> tf.distribute.Strategy:
    return make_strategy(request.param)


def variables(strategy: tf.distribute.Strategy) -> tuple[Any, Any]:
    """A kernel [2, 2] and a bias [2] of ones."""
    with strategy.scope():
        layer = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones", name="layer")
        layer.build((None, 2))
    return layer.kernel, layer.bias


def optimizers_of(
    strategy: tf.distribute.Strategy,
    groups: Sequence[RateGroup],
    rate: float = 0.1,
    first_iterations: dict[str, int] | None = None,
    **changes: Any,
) -> Optimizers:
    with strategy.scope():
        phase = head_phase(learning_rate=rate, optimizer={"name": "sgd", **changes})
        return build(groups, phase, np.full(100, rate), first_iterations or {})


def update(strategy: tf.distribute.Strategy, optimizers: Optimizers, *gradients: Sequence[float]) -> None:
    """One update; each gradient is its value on each replica, the same for all elements of its variable."""
    shapes = [variable.shape for variable in optimizers.trained]

    def on_replica() -> None:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        optimizers.apply(
            [
                tf.fill(shape, tf.gather(tf.constant(values, tf.float32), replica))
                for shape, values in zip(shapes, gradients, strict=True)
            ]
        )

    tf.function(lambda: strategy.run(on_replica), autograph=False)()


def shares(strategy: tf.distribute.Strategy, value: float) -> list[float]:
    """Unequal shares of a gradient, that add up to it."""
    return [value] if strategy.num_replicas_in_sync == 1 else [3 * value, -2 * value]


def test_gradients_of_all_replicas_are_added_up(strategy: tf.distribute.Strategy) -> None:
    kernel, bias = variables(strategy)
    update(strategy, optimizers_of(strategy, [RateGroup("all", 1.0, (kernel, bias))]), *([shares(strategy, 1.0)] * 2))
    np.testing.assert_allclose(kernel, np.full((2, 2), 0.9), rtol=1e-6)


def test_clipping_goes_by_the_norm_of_all_gradients_summed_over_all_replicas(strategy: tf.distribute.Strategy) -> None:
    """Of norm √6 with each element 1; the shares of the replicas have a norm three times as large."""
    kernel, bias = variables(strategy)
    groups = [RateGroup("low", 1.0, (kernel,)), RateGroup("high", 1.0, (bias,))]
    optimizers = optimizers_of(strategy, groups, clip_norm=float(np.sqrt(6) / 2))
    update(strategy, optimizers, *([shares(strategy, 1.0)] * 2))
    np.testing.assert_allclose(kernel, np.full((2, 2), 0.95), rtol=1e-6)
    np.testing.assert_allclose(bias, np.full(2, 0.95), rtol=1e-6)


def test_gradients_within_the_norm_are_left_as_they_are(strategy: tf.distribute.Strategy) -> None:
    kernel, bias = variables(strategy)
    optimizers = optimizers_of(strategy, [RateGroup("all", 1.0, (kernel, bias))], clip_norm=2.5)
    update(strategy, optimizers, *([shares(strategy, 1.0)] * 2))
    np.testing.assert_allclose(bias, np.full(2, 0.9), rtol=1e-6)


def test_each_group_trains_at_its_multiple_of_the_rate(strategy: tf.distribute.Strategy) -> None:
    kernel, bias = variables(strategy)
    optimizers = optimizers_of(strategy, [RateGroup("low", 0.5, (kernel,)), RateGroup("head", 1.0, (bias,))])
    update(strategy, optimizers, *([shares(strategy, 1.0)] * 2))
    np.testing.assert_allclose(kernel, np.full((2, 2), 0.95), rtol=1e-6)
    np.testing.assert_allclose(bias, np.full(2, 0.9), rtol=1e-6)
    assert optimizers.rates() == pytest.approx({"low": 0.05, "head": 0.1})


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_decay_takes_its_share_of_kernels_and_leaves_biases_alone(name: str, strategy: tf.distribute.Strategy) -> None:
    kernel, bias = variables(strategy)
    optimizers = optimizers_of(strategy, [RateGroup("all", 1.0, (kernel, bias))], name=name, weight_decay=0.2)
    update(strategy, optimizers, *([shares(strategy, 0.0)] * 2))
    np.testing.assert_allclose(kernel, np.full((2, 2), 1 - 0.1 * 0.2), rtol=1e-6)
    np.testing.assert_array_equal(bias, np.ones(2))


def after_updates(strategy: tf.distribute.Strategy, num_updates: int, **changes: Any) -> tuple[Any, Any, Carried]:
    """The kernel and the bias, and the state that the kernel's optimizer alone has after some updates."""
    kernel, bias = variables(strategy)
    optimizers = optimizers_of(strategy, [RateGroup("all", 1.0, (kernel,))], **changes)
    for _ in range(num_updates):
        update(strategy, optimizers, shares(strategy, 1.0))
    return kernel, bias, optimizers.carry()


def test_carried_moments_and_counts_go_on_as_if_the_phase_had_not_ended(strategy: tf.distribute.Strategy) -> None:
    """A gradient of another size shows the moments, which Adam's division hides from one that stays."""
    expected, _, _ = after_updates(strategy, 5, name="adam")
    kernel, bias, carried = after_updates(strategy, 5, name="adam")
    whole = optimizers_of(strategy, [RateGroup("all", 1.0, (expected,))], name="adam")
    kernel.assign(np.ones((2, 2)))
    expected.assign(np.ones((2, 2)))
    for _ in range(5):
        update(strategy, whole, shares(strategy, 1.0))
    expected.assign(np.ones((2, 2)))
    update(strategy, whole, shares(strategy, 0.01))
    groups = [RateGroup("all", 1.0, (kernel, bias))]
    optimizers = optimizers_of(strategy, groups, name="adam", first_iterations=dict(carried.iterations))
    optimizers.take_over(carried)
    update(strategy, optimizers, *([shares(strategy, 0.01)] * 2))
    moved = {variable.path: variable for variable in optimizers.trained}
    np.testing.assert_array_equal(moved[KERNEL], expected)


def test_a_newly_unfrozen_variable_moves_by_the_rate_in_its_first_step(strategy: tf.distribute.Strategy) -> None:
    """With the count of the older variables, Adam would move it half as far; after thousands, three times as far."""
    kernel, bias, carried = after_updates(strategy, 8, name="adam")
    groups = [RateGroup("all", 1.0, (kernel, bias))]
    optimizers = optimizers_of(strategy, groups, name="adam", first_iterations=dict(carried.iterations))
    optimizers.take_over(carried)
    update(strategy, optimizers, *([shares(strategy, 1.0)] * 2))
    np.testing.assert_allclose(bias, np.full(2, 0.9), rtol=1e-4)


def test_carried_momentum_of_sgd_shrinks_with_the_rate(strategy: tf.distribute.Strategy) -> None:
    kernel, _, carried = after_updates(strategy, 3, momentum=0.9)
    kernel.assign(np.ones((2, 2)))
    groups = [RateGroup("all", 1.0, (kernel,))]
    first_iterations = dict(carried.iterations)
    optimizers = optimizers_of(strategy, groups, rate=0.001, momentum=0.9, first_iterations=first_iterations)
    optimizers.take_over(carried)
    update(strategy, optimizers, shares(strategy, 1.0))
    expected = 1 - 0.001 * (1 + 0.9 + 0.81 + 0.729)
    np.testing.assert_allclose(kernel, np.full((2, 2), expected), rtol=1e-6)


def test_there_is_nothing_to_carry_into_the_first_phase() -> None:
    with pytest.raises(ValueError, match=r"first phase, 'head', has optimizer\.state carry"):
        settings(phases=(head_phase(optimizer={"state": "carry"}), fine_tune_phase()))


def test_state_of_another_kind_of_optimizer_is_not_carried() -> None:
    carry = fine_tune_phase(optimizer={"name": "sgd", "momentum": 0.9, "state": "carry"})
    with pytest.raises(ValueError, match="its sgd has no use for the state of adam in phase 'head'"):
        settings(phases=(head_phase(), carry))
