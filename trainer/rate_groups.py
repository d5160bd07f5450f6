"""Which variables train at which rate: decay from block to block, and multipliers by layer name."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.blocks import blocks_of
from trainer.boundaries import nearest
from trainer.classifier import Classifier
from trainer.errors import ConfigurationError
from trainer.settings import PhaseSettings


@dataclass(frozen=True)
class RateGroup:
    """Variables that train at the same rate.

    Attributes:
        name: unique in the phase: the block or blocks that they lie in, or "head".
        multiplier: of the phase's learning rate.
        variables: of the model, in the model's order.
    """

    name: str
    multiplier: float
    variables: tuple[Any, ...]


@dataclass(frozen=True)
class _Part:
    """A layer of the backbone that trains, or the head."""

    place: str
    multiplier: float
    variables: tuple[Any, ...]


def groups_of(model: Classifier, phase: PhaseSettings) -> tuple[RateGroup, ...]:
    """Divides the trainable variables, as `trainer.freezing.freeze` has set them, by multiplier.

    Returns:
        The groups, from the input up; each trainable variable is in one of them.

    Raises:
        ConfigurationError: a pattern of `rate_multipliers` that matches no layer, with the nearest names.
    """
    _check_patterns(model, phase)
    parts = _parts(model, phase)
    multipliers = list(dict.fromkeys(part.multiplier for part in parts))
    members = [[part for part in parts if part.multiplier == multiplier] for multiplier in multipliers]
    names = _names([list(dict.fromkeys(part.place for part in group)) for group in members], multipliers)
    return tuple(
        RateGroup(name, multiplier, tuple(variable for part in group for variable in part.variables))
        for name, multiplier, group in zip(names, multipliers, members, strict=True)
    )


def _parts(model: Classifier, phase: PhaseSettings) -> list[_Part]:
    layers, blocks = model.backbone.layers, blocks_of(model.backbone)
    parts = [
        _Part(
            place=block.name,
            multiplier=_rounded(phase.block_decay**height * _multiplier(layer.name, phase.rate_multipliers)),
            variables=tuple(layer.trainable_variables),
        )
        for height, block in zip(range(len(blocks), 0, -1), blocks, strict=True)
        for layer in layers[block.first : block.last + 1]
        if layer.trainable_variables
    ]
    head = model.head
    return [*parts, _Part(head.name, _multiplier(head.name, phase.rate_multipliers), tuple(head.trainable_variables))]


def _multiplier(name: str, multipliers: Mapping[str, float]) -> float:
    return next((factor for pattern, factor in multipliers.items() if re.fullmatch(pattern, name)), 1.0)


def _rounded(multiplier: float) -> float:
    """To 12 digits, so that 0.1·0.1·10 is the same group as 0.1."""
    return float(f"{multiplier:.12g}")


def _names(places: list[list[str]], multipliers: list[float]) -> list[str]:
    """The only block of a group, or its lowest and highest; with the multiplier where two groups share blocks."""
    names = [group[0] if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in places]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"{name}_x{multiplier:.12g}"
        for name, multiplier in zip(names, multipliers, strict=True)
    ]


def _check_patterns(model: Classifier, phase: PhaseSettings) -> None:
    layers = [*model.backbone.layers, model.head]
    for pattern in phase.rate_multipliers:
        found = [layer for layer in layers if re.fullmatch(pattern, layer.name)]
        if not found:
            near = ", ".join(nearest(pattern, [layer.name for layer in layers]))
            raise ConfigurationError(
                f"phase {phase.name!r}: rate_multipliers: {pattern!r} matches the whole name of no layer; "
                f"nearest: {near}"
            )
        if not any(layer.trainable_variables for layer in found):
            warnings.warn(
                f"phase {phase.name!r}: rate_multipliers: {pattern!r} matches layers that do not train in this phase "
                f"only, {found[0].name!r} for one; it has no effect",
                stacklevel=3,
            )
