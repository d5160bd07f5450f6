"""What the settings of a training come to on the devices that it runs on."""

import math

import tensorflow as tf

from trainer import devices
from trainer.precision import precision_of
from trainer.settings import ModelSettings, PhaseSettings


def resolve(settings: ModelSettings, strategy: tf.distribute.Strategy) -> ModelSettings:
    """The settings with a precision in the place of "auto", and with rates that are scaled for the replicas.

    What is resolved already stays as it is.
    """
    compute = settings.compute
    factor = rate_factor(settings, strategy.num_replicas_in_sync)
    changes = {"learning_rate_scaling": "none", "precision": precision_of(compute)}
    return settings.model_copy(
        update={
            "compute": compute.model_copy(update=changes),
            "phases": tuple(_scaled(phase, factor) for phase in settings.phases),
            "probe": None if settings.probe is None else _scaled(settings.probe, factor),
        }
    )


def rate_factor(settings: ModelSettings, num_replicas: int) -> float:
    """What rates are multiplied with, see `trainer.compute_settings.ComputeSettings.learning_rate_scaling`."""
    factors = {"none": 1.0, "linear": float(num_replicas), "sqrt": math.sqrt(num_replicas)}
    return factors[settings.compute.learning_rate_scaling]


def describe(settings: ModelSettings, strategy: tf.distribute.Strategy) -> str:
    """In words: the devices, the global batch, the rates, and how a step is computed.

    Such as "2 replicas: GPU:0, GPU:1; 64 examples a step, 32 on each; learning rates times 2 (linear); mixed_bfloat16".
    """
    compute, num_replicas = settings.compute, strategy.num_replicas_in_sync
    size = settings.batch_size_per_replica
    on_each = f", {size} on each" if num_replicas > 1 else ""
    in_parts = f", in {compute.num_micro_batches} parts" if compute.num_micro_batches > 1 else ""
    factor = rate_factor(settings, num_replicas)
    rates = "as configured" if factor == 1 else f"times {factor:.3g} ({compute.learning_rate_scaling})"
    precision = precision_of(compute)
    return "; ".join(
        [
            devices.describe(strategy),
            f"{size * num_replicas} examples a step{on_each}{in_parts}",
            f"learning rates {rates}",
            f"{precision}{' (auto)' if compute.precision == 'auto' else ''}",
            *(["XLA"] if compute.jit_compile else []),
        ]
    )


def _scaled(phase: PhaseSettings, factor: float) -> PhaseSettings:
    if phase.learning_rate == "auto" or factor == 1:
        return phase
    return phase.model_copy(update={"learning_rate": phase.learning_rate * factor})
