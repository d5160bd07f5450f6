"""Which devices train: all GPUs of the machine, or logical CPU devices that stand in for them in tests."""

import os
from collections.abc import Sequence
from typing import TypeVar

import tensorflow as tf

from trainer.errors import ConfigurationError

Device = TypeVar("Device")


def prepare(num_cpu_replicas: int | None, gpus: Sequence[int] | None = None) -> None:
    """Sets up the process; to be called before TensorFlow touches a device.

    GPUs take memory as they need it, so that several components can share one process. Operations are deterministic.

    Args:
        num_cpu_replicas: number of logical CPU devices, or None to leave the CPU whole.
        gpus: numbers of the GPUs to use, in TensorFlow's order; the others are neither seen nor touched. None for all.

    Raises:
        ConfigurationError: TensorFlow has already started with other devices; there is no such GPU.
    """
    tf.config.experimental.enable_op_determinism()
    all_gpus = tf.config.list_physical_devices("GPU")
    chosen = all_gpus if gpus is None else choose(all_gpus, gpus)
    try:
        if gpus is not None:
            tf.config.set_visible_devices(chosen, "GPU")
        for gpu in chosen:
            tf.config.experimental.set_memory_growth(gpu, True)
        if num_cpu_replicas is not None:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_cpu_replicas)
    except RuntimeError:
        if gpus is not None and len(tf.config.get_visible_devices("GPU")) != len(chosen):
            raise ConfigurationError(
                f"infrastructure.gpus is {list(gpus)}, but TensorFlow has already started with "
                f"{len(tf.config.get_visible_devices('GPU'))} GPUs; devices are set once per process"
            ) from None
        found = len(tf.config.list_logical_devices("CPU"))
        if num_cpu_replicas is not None and found != num_cpu_replicas:
            raise ConfigurationError(
                f"{num_cpu_replicas} CPU replicas were asked for, but TensorFlow has already started with {found}; "
                "devices are set once per process"
            ) from None


def choose(devices: Sequence[Device], numbers: Sequence[int]) -> list[Device]:
    """The devices with these numbers, counted from 0.

    Raises:
        ConfigurationError: one that there is not.
    """
    absent = [number for number in numbers if number >= len(devices)]
    if absent:
        there = f"GPUs 0 to {len(devices) - 1}" if devices else "no GPU that TensorFlow can use"
        raise ConfigurationError(
            f"infrastructure.gpus names {', '.join(map(str, absent))}, but this machine has {there}; name others, or "
            "leave it out for all that there are"
        )
    return [devices[number] for number in numbers]


def make_strategy(num_cpu_replicas: int | None) -> tf.distribute.Strategy:
    """MirroredStrategy over the stated CPU devices, else over all GPUs.

    A single device gets TensorFlow's default strategy: to mirror on one device changes no result, and costs some 15 ms
    at every step, which is more than a step of a small model takes.

    Raises:
        ConfigurationError: fewer logical CPU devices than asked for; `prepare` was not called.
    """
    if num_cpu_replicas is None:
        several = len(tf.config.list_logical_devices("GPU")) > 1
        return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    if len(devices) < num_cpu_replicas:
        raise ConfigurationError(
            f"{num_cpu_replicas} CPU replicas were asked for, but there are {len(devices)} CPU devices"
        )
    if num_cpu_replicas == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(
        devices[:num_cpu_replicas], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def describe(strategy: tf.distribute.Strategy) -> str:
    """Such as "2 replicas: GPU:0, GPU:1"; environment that changes results is named too."""
    if strategy.num_replicas_in_sync == 1:
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        replicas = f"1 replica: {kind}:0"
    else:
        devices = [device.rsplit("/device:", maxsplit=1)[-1] for device in strategy.extended.worker_devices]
        replicas = f"{len(devices)} replicas: {', '.join(devices)}"
    onednn = "" if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "1" else ", oneDNN off"
    return replicas + onednn
