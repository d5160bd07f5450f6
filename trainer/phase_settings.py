"""What one phase of training is: what trains in it, for how long, and how."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.augmentation_settings import AugmentationSettings
from trainer.base_settings import Settings

Share = Annotated[float, Field(gt=0, le=1)]

BatchNormPolicy = Literal["frozen", "affine_only", "adapt", "recalibrate"]


class Boundary(Settings):
    """Where the trainable part of a backbone begins; exactly one of the fields but `cut_blocks` is given.

    A boundary that falls inside a block moves down to the block's first layer, so that a residual connection is never
    half frozen.

    Attributes:
        layer: name of the first trainable layer.
        block: name of the first trainable block; `thaw show` and the training record list them.
        last_layers: how many layers, counted from the end, are trainable.
        last_blocks: how many blocks, counted from the end, are trainable.
        fraction: share of the layers, counted from the end, that is trainable, in (0, 1].
        parameter_fraction: share of the backbone's parameters, counted from the end, that is trainable at most, but
            one block at least, in (0, 1].
        pattern: a regular expression; the layers whose whole name matches are trainable, wherever they are.
        cut_blocks: leave the boundary where it falls, in the middle of a block too.
    """

    layer: str | None = None
    block: str | None = None
    last_layers: Annotated[int, Field(ge=1)] | None = None
    last_blocks: Annotated[int, Field(ge=1)] | None = None
    fraction: Share | None = None
    parameter_fraction: Share | None = None
    pattern: str | None = None
    cut_blocks: bool = False

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        kinds = [name for name in Boundary.model_fields if name != "cut_blocks"]
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)}; found {' and '.join(given) or 'none'}")
        return self


Unfreeze = Literal["none", "batch_norm", "all", "auto"] | Boundary


class OptimizerSettings(Settings):
    """How gradients become updates.

    Attributes:
        name: which optimizer. "adamw" decays weights apart from the gradient (Loshchilov and Hutter, ICLR 2019).
        momentum: of "sgd" only; 0 for none.
        weight_decay: share of each weight, times the learning rate, that a step takes away; biases, gamma and beta are
            left alone. With "adamw" and "sgd" only.
        clip_norm: the most that the norm of all gradients together, over all replicas, may be; larger ones are scaled.
        state: whether moments start anew in the phase, or are carried over from the phase before for those variables
            that trained in it.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    state: Literal["fresh", "carry"] = "fresh"

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        if self.momentum and self.name != "sgd":
            raise ValueError(f"momentum is {self.momentum:g}, but {self.name} has none of its own; leave it out")
        if self.weight_decay and self.name == "adam":
            raise ValueError(f"weight_decay is {self.weight_decay:g}, but adam has none; choose adamw")
        return self


class PhaseSettings(Settings):
    """One stretch of training, with its own trainable set and learning rate.

    Attributes:
        name: unique in the plan; names the phase in records and logs.
        unfreeze: which part of the backbone trains: "none" (the head alone), "batch_norm" (the head, and gamma and beta
            of every BatchNormalization), "all", or from a boundary up. "auto" trains a little with each of these and
            with three boundaries, at the start of the phase, and takes the one that is best on the eval split; of those
            that cannot be told apart, the one that trains fewest parameters.
        trial_steps: with `unfreeze: auto`, how many steps each boundary is tried for, at most as many as the phase has.
            None stands for 200 there.
        epochs: the most passes over the training split. Either this or `steps` is given.
        steps: the most steps, each of one batch over all replicas; a phase may be shorter than an epoch.
        evaluate_every_steps: how many steps lie between two evaluations; None for one after each epoch. There is one at
            the end of the phase in any case. What is said of epochs below then holds for these stretches.
        learning_rate: of the head: the constant, or the peak of the schedule. "auto" searches it at the start of the
            phase, as `thaw lr` does; where the backbone trains, at half the lowest rate of the frozen phases before, at
            most.
        schedule: how the rate goes: "constant"; "cosine" down to 0; "one_cycle", up from a 25th and down to a 10,000th
            along cosines (Smith 2018, as fastai has it).
        warmup_fraction: share of the phase's steps in which the rate rises in a straight line from 0 (with "constant"
            and "cosine"), or along the first cosine (with "one_cycle", where 0 stands for a quarter).
        block_decay: each block of the backbone trains at this many times the rate of the block above it; the last one
            at this many times the head's.
        rate_multipliers: regular expressions of whole layer names, and what their layers' rate is multiplied with; the
            first that matches counts. "head" is the head's name.
        optimizer: how gradients become updates.
        batch_norm: what becomes of BatchNormalization layers above the freeze boundary: "frozen", nothing;
            "affine_only", gamma and beta train; "adapt", gamma and beta train and statistics move, over all replicas
            together; "recalibrate", frozen, but after the phase statistics are estimated anew on the training split.
        early_stopping_patience: how many epochs without a better value end the phase; None trains all epochs.
            Whichever it is, the phase ends with the weights of its best epoch.
        early_stopping_metric: of the eval split, what "better" means.
        augmentation: what happens to training images.
        allow_higher_learning_rate: unfreezing at a rate that is not below that of an earlier, more frozen phase
            usually destroys the pretrained features. It is refused unless this is set.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    unfreeze: Unfreeze = "none"
    trial_steps: Annotated[int, Field(ge=1)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    evaluate_every_steps: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"]
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    block_decay: Share = 1.0
    rate_multipliers: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    optimizer: OptimizerSettings = OptimizerSettings()
    batch_norm: BatchNormPolicy = "frozen"
    early_stopping_patience: Annotated[int, Field(ge=1)] | None = None
    early_stopping_metric: Literal["log_loss", "accuracy"] = "log_loss"
    augmentation: AugmentationSettings = AugmentationSettings()
    allow_higher_learning_rate: bool = False

    @property
    def is_frozen(self) -> bool:
        """Whether the whole backbone is frozen in this phase."""
        return self.unfreeze == "none"

    @property
    def peak_rate(self) -> float:
        """`learning_rate` of a phase in training, where the rate that was found has taken the place of "auto"."""
        assert self.learning_rate != "auto"
        return self.learning_rate

    @property
    def is_searched(self) -> bool:
        """Whether something of the phase is found by trial before it trains."""
        return self.learning_rate == "auto" or self.unfreeze == "auto"

    @field_validator("rate_multipliers")
    @classmethod
    def _multipliers_compile(cls, multipliers: dict[str, float]) -> dict[str, float]:
        for pattern in multipliers:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return multipliers

    @model_validator(mode="after")
    def _length_is_given_once(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.epochs is None else f"epochs {self.epochs} and steps {self.steps}"
            raise ValueError(f"give exactly one of epochs and steps, how long the phase is at most; found {found}")
        if self.steps is not None and (self.evaluate_every_steps or 0) > self.steps:
            raise ValueError(
                f"evaluate_every_steps is {self.evaluate_every_steps}, but the phase has {self.steps} steps, after "
                "which it is evaluated in any case; lower it, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        if self.trial_steps is not None and self.unfreeze != "auto":
            raise ValueError(
                f"trial_steps is {self.trial_steps}, but only `unfreeze: auto` tries boundaries; leave it out"
            )
        if self.is_frozen and self.batch_norm != "frozen":
            raise ValueError(
                f"batch_norm is {self.batch_norm}, but with `unfreeze: none` no layer of the backbone is above the "
                "freeze boundary; leave it out, or unfreeze some"
            )
        if self.unfreeze == "batch_norm" and self.batch_norm != "frozen":
            raise ValueError(
                f"batch_norm is {self.batch_norm}, but `unfreeze: batch_norm` already says that gamma and beta train "
                "and statistics do not; leave it out"
            )
        if self.is_frozen and self.block_decay != 1:
            raise ValueError(
                f"block_decay is {self.block_decay:g}, but with `unfreeze: none` no block trains; leave it out"
            )
        return self
