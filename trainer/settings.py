"""What is learned, and how: the settings of the model and of its phases.

They are plain frozen data, checked when they are made, so that a notebook, a test and the pipeline use the same ones.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from trainer import presets
from trainer.base_settings import Settings
from trainer.compute_settings import ComputeSettings, check_micro_batches
from trainer.loss_settings import LossSettings
from trainer.phase_settings import Boundary, PhaseSettings
from trainer.plan_checks import (
    Baseline,
    check_baseline,
    check_phases,
    default_probe,
    leading_frozen_phases,
    needs_probe,
)
from trainer.presets import PresetName
from trainer.scaling import SCALING, SMALL_CNN, nearest_backbones

__all__ = ["LATEST", "NO_WARM_START", "Boundary", "ModelSettings", "PhaseSettings", "Settings"]

# Of `warm_start`, beside a path.
NO_WARM_START = "none"
LATEST = "latest"


CacheMode = Literal["auto", "off", "require"]


class ModelSettings(Settings):
    """The classifier: a pretrained backbone, a new head, and the phases that train them.

    Attributes:
        backbone: "small_cnn" or the name of a keras.applications constructor, such as "MobileNetV2".
        weights: "imagenet", "none", or the path of a Keras weights file of the backbone (`.h5`).
        weights_sha256: hex digest that a weights file must have; required with a path.
        warm_start: the model whose weights training begins with in the place of `weights`: the folder of an exported
            model, or of numbered versions; or "latest", in the pipeline: the newest pushed version, and `weights` as
            long as there is none. Of numbered versions the newest is taken that does not come of the same photographs
            and settings. Classes that both have keep their part of the head. "none" to begin with `weights`.
        image_size_px: height and width in pixels that images are resized to.
        dropout_rate: Dropout before the last layer.
        batch_size_per_replica: examples per training step on each device.
        seed: seeds initialisation, shuffling, augmentation and Dropout.
        loss: what training makes small; evaluation is by plain log loss.
        ema_decay: share that the moving average of the weights keeps at each step, such as 0.999; epochs are judged by
            the averaged weights, and a phase ends with them. None for no average.
        checkpoint_every_steps: how many steps of training a kill may cost; 0 to save at the ends of phases only. Each
            checkpoint holds weights and optimizer state, and two are kept.
        compute: how a step is computed, and what several replicas do to the learning rate.
        phases: trained in this order; or the name of a plan, which stands for its phases; "two_phase" where
            nothing is said.
        cache: whether what frozen layers make of the images is computed once and read back in every epoch: "auto" where
            that gives the same result and saves time; "require", or an error says why not; "off". It lies in
            `infrastructure.cache`.
        cache_dtype: how activations of float32 are kept: "exact", or in half the space, rounded to "float16" (to 1 in
            2,048, up to 65,504) or "bfloat16" (to 1 in 256).
        baseline: what the result is compared with. "auto" takes the model at the end of the frozen phases that the plan
            begins with, and trains a probe where it begins with none; "probe" trains one in any case, for plans whose
            frozen phase is a short one; "none" is for training without the pipeline, whose gate needs a baseline.
        probe: a phase with `unfreeze: none` that trains a head on the frozen backbone for the baseline, before the
            phases and without any effect on them. None stands for one that trains until five epochs in a row are no
            better, or for none where none is trained.
    """

    backbone: str
    weights: str
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    warm_start: Annotated[str, Field(min_length=1)] = NO_WARM_START
    image_size_px: Annotated[int, Field(ge=8, le=2048)]
    dropout_rate: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batch_size_per_replica: Annotated[int, Field(ge=1)] = 32
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    loss: LossSettings = LossSettings()
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    checkpoint_every_steps: Annotated[int, Field(ge=0)] = 500
    compute: ComputeSettings = ComputeSettings()
    phases: Annotated[tuple[PhaseSettings, ...], Field(min_length=1, strict=False)] = Field(
        default_factory=lambda: _phases_of(presets.DEFAULT, SMALL_CNN)
    )
    cache: CacheMode = "auto"
    cache_dtype: Literal["exact", "float16", "bfloat16"] = "exact"
    baseline: Baseline = "auto"
    probe: Annotated[PhaseSettings | None, Field(validate_default=True)] = None

    @property
    def baseline_phase(self) -> str | None:
        """Name of the phase, or of the probe, at whose end the model is the baseline; None where there is none."""
        if self.baseline == "none":
            return None
        return self.probe.name if self.probe is not None else leading_frozen_phases(self.phases)[-1].name

    @property
    def is_own_baseline(self) -> bool:
        """Whether no phase unfreezes the backbone, so that the result is the baseline."""
        return all(phase.is_frozen for phase in self.phases)

    @property
    def weights_path(self) -> Path | None:
        """The weights file, or None where `weights` names no file."""
        return None if self.weights in ("imagenet", "none") else Path(self.weights)

    @property
    def warm_start_path(self) -> Path | None:
        """The folder that `warm_start` names, or None where it names none."""
        return None if self.warm_start in (NO_WARM_START, LATEST) else Path(self.warm_start)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant, in words; to be said before training."""
        found = []
        if self.weights == "none" and self.warm_start_path is None:
            found.append(
                "model.weights is none: the backbone starts from random numbers, so the frozen-only baseline is a head "
                "on random features, and beating it says little; give imagenet or the path of a weights file"
            )
        if self.is_own_baseline:
            found.append(
                "no phase of model.phases unfreezes the backbone: the result is its own frozen-only baseline, its gain "
                "over it is 0, and a gate that asks for a gain refuses it; add a phase with `unfreeze: all` or a "
                "boundary to fine-tune"
            )
        return tuple(found)

    @field_validator("backbone")
    @classmethod
    def _backbone_exists(cls, backbone: str) -> str:
        if backbone not in SCALING:
            raise ValueError(f"no backbone {backbone!r}; nearest: {nearest_backbones(backbone)}")
        return backbone

    @field_validator("phases", mode="before", json_schema_input_type=PresetName | tuple[PhaseSettings, ...])
    @classmethod
    def _phases_are_named(cls, phases: object, info: ValidationInfo) -> object:
        if not isinstance(phases, str):
            return phases
        found = _phases_of(phases, info.data.get("backbone", SMALL_CNN))
        weights = info.data.get("weights", "none")
        if phases == "from_scratch" and weights != "none":
            raise ValueError(
                f"would destroy the weights {weights!r} with its high rates; give `weights: none`, or another plan"
            )
        if phases == "from_scratch" and info.data.get("warm_start", NO_WARM_START) != NO_WARM_START:
            raise ValueError("would destroy the weights of model.warm_start; give `warm_start: none`, or another plan")
        return found

    @field_validator("probe")
    @classmethod
    def _probe_is_described(cls, probe: PhaseSettings | None, info: ValidationInfo) -> PhaseSettings | None:
        """So that a plan which is printed or recorded shows the probe that is trained."""
        is_known = info.data.keys() >= {"phases", "baseline"}  # what is wrong in itself is absent
        if probe is None and is_known and needs_probe(info.data["phases"], info.data["baseline"]):
            return default_probe()
        return probe

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
    def _plan_makes_sense(self) -> Self:
        check_phases(self.phases)
        check_baseline(self.phases, self.baseline, self.probe)
        check_micro_batches(self.compute, self.batch_size_per_replica, self.phases)
        return self


def _phases_of(preset: str, backbone: str) -> tuple[PhaseSettings, ...]:
    return tuple(PhaseSettings.model_validate(phase) for phase in presets.phases_of(preset, backbone))
