"""Which devices are taken."""

import pytest

from trainer import devices
from trainer.errors import ConfigurationError


def test_stated_gpus_are_taken_in_the_stated_order() -> None:
    assert devices.choose(["a", "b", "c"], [2, 0]) == ["c", "a"]


def test_a_gpu_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"infrastructure\.gpus names 3, but this machine has GPUs 0 to 1"):
        devices.choose(["a", "b"], [0, 3])


def test_without_gpus_a_stated_one_is_an_error() -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigurationError, match="this machine has no GPU that TensorFlow can use"):
        devices.prepare(None, [0])
