"""What is learned, and how: the settings of the model and of its phases.

They are plain frozen data, checked when they are made, so that a notebook, a test and the pipeline use the same ones.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from trainer.base_settings import Settings
from trainer.loss_settings import LossSettings
from trainer.phase_settings import Boundary, PhaseSettings
from trainer.scaling import SCALING, nearest_backbones

__all__ = ["Boundary", "ModelSettings", "PhaseSettings", "Settings"]


class ModelSettings(Settings):
    """The classifier: a pretrained backbone, a new head, and the phases that train them.

    Attributes:
        backbone: "small_cnn" or the name of a keras.applications constructor, such as "MobileNetV2".
        weights: "imagenet", "none", or the path of a Keras weights file of the backbone (`.h5`).
        weights_sha256: hex digest that a weights file must have; required with a path.
        image_size_px: height and width in pixels that images are resized to.
        dropout_rate: Dropout before the last layer.
        batch_size_per_replica: examples per training step on each device.
        seed: seeds initialisation, shuffling, augmentation and Dropout.
        loss: what training makes small; evaluation is by plain log loss.
        ema_decay: share that the moving average of the weights keeps at each step, such as 0.999; epochs are judged by
            the averaged weights, and a phase ends with them. None for no average.
        checkpoint_every_steps: how many steps of training a kill may cost; 0 to save at the ends of phases only. Each
            checkpoint holds weights and optimizer state, and two are kept.
        phases: trained in this order. The first must be wholly frozen: the model at the end of the last wholly frozen
            phase is the baseline that the result is compared with.
    """

    backbone: str
    weights: str
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    image_size_px: Annotated[int, Field(ge=8, le=2048)]
    dropout_rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batch_size_per_replica: Annotated[int, Field(ge=1)] = 32
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    loss: LossSettings = LossSettings()
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    checkpoint_every_steps: Annotated[int, Field(ge=0)] = 500
    phases: Annotated[tuple[PhaseSettings, ...], Field(min_length=1, strict=False)]

    @property
    def weights_path(self) -> Path | None:
        """The weights file, or None where `weights` names no file."""
        return None if self.weights in ("imagenet", "none") else Path(self.weights)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant, in words; to be said before training."""
        if self.weights != "none":
            return ()
        return (
            "model.weights is none: the backbone starts from random numbers, so the frozen-only baseline is a head on "
            "random features, and beating it says little; give imagenet or the path of a weights file",
        )

    @field_validator("backbone")
    @classmethod
    def _backbone_exists(cls, backbone: str) -> str:
        if backbone not in SCALING:
            raise ValueError(f"no backbone {backbone!r}; nearest: {nearest_backbones(backbone)}")
        return backbone

    @model_validator(mode="after")
    def _weights_are_verifiable(self) -> Self:
        if self.weights_path is not None and self.weights_sha256 is None:
            raise ValueError(
                f"weights is the file {self.weights!r}, so weights_sha256 must be given; "
                f"`sha256sum {self.weights}` prints it"
            )
        if self.weights_path is None and self.weights_sha256 is not None:
            raise ValueError(f"weights_sha256 goes with a weights file; weights is {self.weights!r}")
        return self

    @model_validator(mode="after")
    def _phases_make_sense(self) -> Self:
        _check_names(self.phases)
        _check_baseline(self.phases)
        _check_learning_rates(self.phases)
        _check_carried_state(self.phases)
        return self


def _check_names(phases: tuple[PhaseSettings, ...]) -> None:
    names = [phase.name for phase in phases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"phases have the same name: {', '.join(twice)}; give each a name of its own")


def _check_baseline(phases: tuple[PhaseSettings, ...]) -> None:
    if not phases[0].is_frozen:
        raise ValueError(
            f"the first phase, {phases[0].name!r}, unfreezes the backbone; the frozen-only baseline comes from a first "
            "phase with `unfreeze: none`"
        )
    if phases[-1].is_frozen:
        raise ValueError(
            f"the last phase, {phases[-1].name!r}, leaves the backbone frozen, so there would be nothing to compare "
            "with the frozen-only baseline; add a phase with `unfreeze: all` or a boundary"
        )


def _check_learning_rates(phases: tuple[PhaseSettings, ...]) -> None:
    frozen = [phase for phase in phases if phase.is_frozen]
    for phase in phases:
        if phase.is_frozen or phase.allow_higher_learning_rate:
            continue
        for earlier in frozen:
            if phase.learning_rate >= earlier.learning_rate:
                raise ValueError(
                    f"phase {phase.name!r} unfreezes the backbone at learning_rate {phase.learning_rate:g}, which is "
                    f"not below the {earlier.learning_rate:g} of phase {earlier.name!r}; lower it, or state "
                    "`allow_higher_learning_rate: true` if it is on purpose"
                )


def _check_carried_state(phases: tuple[PhaseSettings, ...]) -> None:
    for before, phase in zip((None, *phases), phases, strict=False):
        if phase.optimizer.state == "fresh":
            continue
        if before is None:
            raise ValueError(
                f"the first phase, {phase.name!r}, has optimizer.state carry, but there is no phase before it; leave "
                "it out"
            )
        if (before.optimizer.name == "sgd") != (phase.optimizer.name == "sgd"):
            raise ValueError(
                f"phase {phase.name!r} has optimizer.state carry, but its {phase.optimizer.name} has no use for the "
                f"state of {before.optimizer.name} in phase {before.name!r}; use the same optimizer, or fresh"
            )
