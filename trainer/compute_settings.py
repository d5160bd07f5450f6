"""How a training step is computed: precision, compilation, micro-batches, and what several replicas do to the rate."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from trainer.base_settings import Settings
from trainer.phase_settings import PhaseSettings

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class ComputeSettings(Settings):
    """How a training step is computed; none of it is meant to change what is learned, but for the rate's scaling.

    Attributes:
        precision: what the backbone computes in. Variables, the head, the loss, statistics of BatchNormalization and
            the exported model are float32 in any case. "mixed_float16" scales the loss so that small gradients are not
            lost, and leaves out an update whose gradients overflow (Micikevicius et al. 2018). "auto" is
            mixed_bfloat16 on GPUs of compute capability 8.0 or more, mixed_float16 on those of 7.0 or more, and
            float32 elsewhere.
        jit_compile: let XLA compile the model's forward and backward pass in training; augmentation, which has
            operations without an XLA kernel, and the update stay outside. Dropout draws other numbers then.
        num_micro_batches: into how many parts, one after the other, the batch of each replica is split, so that it
            takes less memory. `batch_size_per_replica` remains what an update is made from, and so does its gradient,
            to within rounding; MixUp and CutMix mix within the whole batch of the replica. Dropout draws other numbers
            than in one part. Not with `batch_norm: adapt`, whose statistics would be those of a part.
        learning_rate_scaling: what the rates of all phases are multiplied with where several replicas make the global
            batch larger: "none", their number ("linear", Goyal et al. 2017), or its square root ("sqrt"). A rate that
            is found by trial is found on the global batch, and is not scaled.
    """

    precision: Precision | Literal["auto"] = "float32"
    jit_compile: bool = False
    num_micro_batches: Annotated[int, Field(ge=1)] = 1
    learning_rate_scaling: Literal["none", "linear", "sqrt"] = "none"


def check_micro_batches(compute: ComputeSettings, batch_size_per_replica: int, phases: Iterable[PhaseSettings]) -> None:
    """Raises ValueError where a batch cannot be split, or a phase needs it whole."""
    number = compute.num_micro_batches
    if batch_size_per_replica % number:
        raise ValueError(
            f"compute.num_micro_batches is {number}, but batch_size_per_replica is {batch_size_per_replica}, which "
            f"cannot be split into {number} equal parts; choose a divisor of it"
        )
    for phase in phases:
        if number > 1 and phase.batch_norm == "adapt":
            raise ValueError(
                f"compute.num_micro_batches is {number}, but phase {phase.name!r} has batch_norm adapt, which "
                "normalizes by the whole batch; choose recalibrate there, or leave num_micro_batches out"
            )
