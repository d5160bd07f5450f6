"""What `benchmarks.frozen` runs, and on how much."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

BACKBONE, NUM_CLASSES, SEED = "MobileNetV2", 3, 7
# Of every hundred photographs.
NUM_EVALUATED_OF_100 = 15
SECTIONS = ("phase1", "phase2", "whole", "scaling")


@dataclass(frozen=True)
class Plan:
    """Sizes.

    Attributes:
        num_photographs: in all sections but `scaling`.
        image_size_px: of the model.
        batch_size: of a step.
        num_epochs: of a phase.
        boundaries: blocks that phase 2 is unfrozen from, up.
        sizes: number of photographs in `scaling`, rising.
        num_steps_in_memory: steps that are timed on a batch in memory.
    """

    num_photographs: int
    image_size_px: int
    batch_size: int
    num_epochs: int
    boundaries: tuple[str, ...]
    sizes: tuple[int, ...]
    num_steps_in_memory: int

    def changed(self, **changes: Any) -> "Plan":
        """With other values where some are given."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items() if value}
        return replace(self, **given)

    def case(self, kind: str, data: str, **more: Any) -> dict[str, Any]:
        """What `benchmarks.frozen_variants` is told."""
        common: Mapping[str, Any] = {
            "kind": kind,
            "data": data,
            "image_size_px": self.image_size_px,
            "batch_size": self.batch_size,
            "num_epochs": self.num_epochs,
            "num_steps_in_memory": self.num_steps_in_memory,
        }
        return {**common, **more}


# Of MobileNetV2's 18 blocks the first two thirds end with block_10: phase 2 from block_11 up is the one with a goal.
TWO_THIRDS = "block_11"
FULL = Plan(2000, 160, 32, 10, ("block_16_expand", "block_14", TWO_THIRDS, "block_6_expand"), (500, 2000, 8000), 40)
SMOKE = Plan(40, 64, 8, 2, (TWO_THIRDS,), (20, 40), 2)
