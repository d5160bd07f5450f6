"""What is learned, and how: the settings of the model and of its phases.

They are plain frozen data, checked when they are made, so that a notebook, a test and the pipeline use the same ones.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainer.scaling import SCALING, nearest_backbones


class Settings(BaseModel):
    """Base of every settings class: immutable, and strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Boundary(Settings):
    """Where the trainable part of a backbone begins; exactly one of the fields is given.

    Attributes:
        layer: name of the first trainable layer.
        last_layers: how many layers, counted from the end, are trainable.
        fraction: share of the layers, counted from the end, that is trainable, in (0, 1].
    """

    layer: str | None = None
    last_layers: Annotated[int, Field(ge=1)] | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"give exactly one of layer, last_layers, fraction; found {found}")
        return self


class PhaseSettings(Settings):
    """One compile and fit, with its own trainable set and learning rate.

    Attributes:
        name: unique in the plan; names the phase in records and logs.
        unfreeze: which part of the backbone trains: "none" (the head alone), "all", or from a boundary up.
        epochs: the most passes over the training split.
        learning_rate: Adam's step size.
        early_stopping_patience: how many epochs without a better eval log loss end the phase; None trains all epochs.
            Whichever it is, the phase ends with the weights of its best epoch.
        allow_higher_learning_rate: unfreezing at a rate that is not below that of an earlier, more frozen phase
            usually destroys the pretrained features. It is refused unless this is set.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    unfreeze: Literal["none", "all"] | Boundary = "none"
    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    early_stopping_patience: Annotated[int, Field(ge=1)] | None = None
    allow_higher_learning_rate: bool = False

    @property
    def is_frozen(self) -> bool:
        """Whether the whole backbone is frozen in this phase."""
        return self.unfreeze == "none"


class ModelSettings(Settings):
    """The classifier: a pretrained backbone, a new head, and the phases that train them.

    Attributes:
        backbone: "small_cnn" or the name of a keras.applications constructor, such as "MobileNetV2".
        weights: "imagenet", "none", or the path of a Keras weights file of the backbone (`.h5`).
        weights_sha256: hex digest that a weights file must have; required with a path.
        image_size_px: height and width in pixels that images are resized to.
        dropout_rate: Dropout before the last layer.
        batch_size_per_replica: examples per training step on each device.
        seed: seeds initialisation, shuffling and Dropout.
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
