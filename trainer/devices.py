"""Which devices train: all GPUs of the machine, or logical CPU devices that stand in for them in tests."""

import os
from collections.abc import Sequence
from typing import TypeVar

import tensorflow as tf

from trainer.cluster import Cluster
from trainer.errors import ConfigurationError, ThawError
from trainer.workers import Workers

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


def make_strategy(num_cpu_replicas: int | None, cluster: Cluster | None = None) -> tf.distribute.Strategy:
    """MirroredStrategy over the stated CPU devices, else over all GPUs; with a cluster, over those of all its machines.

    A single device gets TensorFlow's default strategy: to mirror on one device changes no result, and costs some 15 ms
    at every step, which is more than a step of a small model takes.

    Args:
        num_cpu_replicas: number of logical CPU devices, or None for GPUs, or the CPU where there is none.
        cluster: the machines that train together, or None for this one alone. This waits until all have come.

    Raises:
        ConfigurationError: fewer logical CPU devices than asked for; `prepare` was not called; several of them on
            several machines.
        ThawError: the machines do not come together.
    """
    if cluster is not None:
        return _over_all_workers(num_cpu_replicas, cluster)
    if num_cpu_replicas is None:
        gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
        # Without names, MirroredStrategy would take the devices that TF_CONFIG names.
        return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()
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


def _over_all_workers(num_cpu_replicas: int | None, cluster: Cluster) -> tf.distribute.Strategy:
    if num_cpu_replicas not in (None, 1):
        raise ConfigurationError(
            f"infrastructure.num_cpu_replicas is {num_cpu_replicas}, but with several workers (TF_CONFIG) each trains "
            "on one CPU device or on its GPUs; leave it out, or start more workers"
        )
    num_gpus = 0 if num_cpu_replicas else len(tf.config.get_visible_devices("GPU"))
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({role: list(addresses) for role, addresses in cluster.addresses.items()}),
        task_type=cluster.role,
        task_id=cluster.index,
        num_accelerators={"GPU": num_gpus},
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except RuntimeError as error:
        raise ThawError(
            f"{cluster.name} cannot join the others, since TensorFlow has already started in this process ({error}); "
            "begin with this"
        ) from error
    except tf.errors.OpError as error:
        raise ThawError(
            f"{cluster.name} cannot join the others ({error.message}); is another process at its port, and have all "
            "of them the same cluster in TF_CONFIG?"
        ) from error


def describe(strategy: tf.distribute.Strategy) -> str:
    """Such as "2 replicas: GPU:0, GPU:1"; environment that changes results is named too."""
    if strategy.num_replicas_in_sync == 1:
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        replicas = f"1 replica: {kind}:0"
    else:
        devices = [device.rsplit("/device:", maxsplit=1)[-1] for device in strategy.extended.worker_devices]
        workers = Workers(strategy)
        on_each = f" on each of {workers.num_workers} workers" if workers.num_workers > 1 else ""
        replicas = f"{strategy.num_replicas_in_sync} replicas: {', '.join(devices)}{on_each}"
    onednn = "" if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "1" else ", oneDNN off"
    return replicas + onednn
