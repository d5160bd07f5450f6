"""Which devices train: all GPUs of the machine, or logical CPU devices that stand in for them in tests."""

import os

import tensorflow as tf

from trainer.errors import ConfigurationError


def prepare(num_cpu_replicas: int | None) -> None:
    """Sets up the process; to be called before TensorFlow touches a device.

    GPUs take memory as they need it, so that several components can share one process. Operations are deterministic.

    Args:
        num_cpu_replicas: number of logical CPU devices, or None to leave the CPU whole.

    Raises:
        ConfigurationError: TensorFlow has already started with other devices.
    """
    tf.config.experimental.enable_op_determinism()
    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
        if num_cpu_replicas is not None:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_cpu_replicas)
    except RuntimeError:
        found = len(tf.config.list_logical_devices("CPU"))
        if num_cpu_replicas is not None and found != num_cpu_replicas:
            raise ConfigurationError(
                f"{num_cpu_replicas} CPU replicas were asked for, but TensorFlow has already started with {found}; "
                "devices are set once per process"
            ) from None


def make_strategy(num_cpu_replicas: int | None) -> tf.distribute.Strategy:
    """MirroredStrategy over the stated CPU devices, else over all GPUs, else over the one CPU.

    Raises:
        ConfigurationError: fewer logical CPU devices than asked for; `prepare` was not called.
    """
    if num_cpu_replicas is None:
        return tf.distribute.MirroredStrategy()
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    if len(devices) < num_cpu_replicas:
        raise ConfigurationError(
            f"{num_cpu_replicas} CPU replicas were asked for, but there are {len(devices)} CPU devices"
        )
    return tf.distribute.MirroredStrategy(
        devices[:num_cpu_replicas], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def describe(strategy: tf.distribute.Strategy) -> str:
    """Such as "2 replicas: GPU:0, GPU:1"; environment that changes results is named too."""
    devices = ", ".join(device.rsplit("/device:", maxsplit=1)[-1] for device in strategy.extended.worker_devices)
    plural = "" if strategy.num_replicas_in_sync == 1 else "s"
    onednn = "" if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "1" else ", oneDNN off"
    return f"{strategy.num_replicas_in_sync} replica{plural}: {devices}{onednn}"
