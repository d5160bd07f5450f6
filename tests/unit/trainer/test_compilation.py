"""What XLA compiles of a training, and what it cannot, which is told before anything trains."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings
from trained import train

from trainer import compilation
from trainer.devices import make_strategy
from trainer.errors import ConfigurationError
from trainer.model_pass import explaining_what_does_not_compile
from trainer.replicas import name_components, read
from trainer.steps import Steps
from trainer.training import TrainingData
from trainer.training_setup import set_up


def test_what_xla_cannot_compile_is_named() -> None:
    @tf.function(jit_compile=True, autograph=False)
    def move(images: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images, transforms=tf.ones([1, 8]), output_shape=[4, 4], fill_value=0.0, interpolation="NEAREST"
        )

    words = "XLA cannot compile ImageProjectiveTransformV3, which small_cnn needs where it trains; leave jit_compile"
    with (
        pytest.raises(ConfigurationError, match=words),
        explaining_what_does_not_compile(settings(compute={"jit_compile": True})),
    ):
        move(tf.ones([1, 4, 4, 3]))


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_max_pooling_that_trains_cannot_be_compiled_to_give_the_same_bits_and_is_told_before_anything_trains(
    num_replicas: int, training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Steps, "train", lambda *_: pytest.fail("a step was done"))
    phases = (head_phase(), fine_tune_phase(unfreeze="all"))
    with pytest.raises(ConfigurationError, match="XLA cannot compile MaxPool gradient, which small_cnn needs where it"):
        train(settings(phases=phases, compute={"jit_compile": True}), training_data, num_replicas)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"compute": {"jit_compile": True, "num_micro_batches": 2, "precision": "mixed_float16"}},
        {"compute": {"jit_compile": True}, "dropout_rate": 0.3},
        {"compute": {"jit_compile": True}, "loss": {"class_weights": "balanced", "focal_gamma": 1.0}},
    ],
    ids=str,
)
def test_asking_whether_xla_can_compile_a_plan_leaves_the_model_as_it_is(
    changes: dict[str, Any], training_data: TrainingData
) -> None:
    setup = set_up(settings(**changes), training_data, make_strategy(2))
    before = read(name_components("model", setup.model.variables))
    compilation.check(setup)
    for name, value in read(name_components("model", setup.model.variables)).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.slow
def test_a_boundary_that_is_to_be_searched_is_left_to_its_trials(training_data: TrainingData) -> None:
    phases = (head_phase(), fine_tune_phase(unfreeze="auto", trial_steps=1))
    setup = set_up(settings(phases=phases, compute={"jit_compile": True}), training_data, make_strategy(1))
    compilation.check(setup)


@pytest.mark.slow
def test_augmentation_without_xla_kernels_stays_outside_of_what_is_compiled(training_data: TrainingData) -> None:
    phases = (head_phase(augmentation={"rand_augment": {}}), fine_tune_phase())
    run = train(settings(phases=phases, compute={"jit_compile": True}), training_data)
    assert np.isfinite(run.phases[0].epochs[0].train_loss)
