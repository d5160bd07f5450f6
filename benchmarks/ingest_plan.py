"""What `benchmarks.ingest` runs, in which order, and what its runs say together."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import fixed_cost_s, slope_per_s
from benchmarks.isolation import Measurement

# The steps whose time is compared; statistics and validation are told apart.
COMPARED_STEPS = ("ImageExampleGen", "FileBasedExampleGen", "Transform", "tf.data")


@dataclass(frozen=True)
class Variant:
    """One way from photographs to training data, on photographs of one size.

    Attributes:
        name: for the tables.
        kind: which function of `benchmarks.ingest_variants` measures it.
        sizes: number of photographs, small and large.
        scale: photographs are 500×375 pixels times this.
        is_repeated: whether it runs in every round, or once because it is slow.
    """

    name: str
    kind: str
    sizes: tuple[int, int]
    scale: int = 1
    is_repeated: bool = True


OURS, LIMIT, STOCK = "thaw", "tf.data", "stock TFX"
OURS_LARGE, LIMIT_LARGE, SCALED = "thaw, 12 MP", "tf.data, 12 MP", "thaw, 12 MP, scaled decoding"


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        variants: in the order of a round.
        num_rounds: how often the repeated ones run on each size.
        num_read_back: photographs whose training data are read back.
    """

    variants: tuple[Variant, ...]
    num_rounds: int
    num_read_back: int


def plan_of(
    sizes: tuple[int, int], large_sizes: tuple[int, int], stock_sizes: tuple[int, int], num_rounds: int
) -> Plan:
    """All variants: on 500×375 pixels, on 12 megapixels, and stock TFX on few, for it is slow."""
    variants = (
        Variant(OURS, "thaw", sizes),
        Variant(LIMIT, "tf.data", sizes),
        Variant(OURS_LARGE, "thaw", large_sizes, scale=8),
        Variant(LIMIT_LARGE, "tf.data", large_sizes, scale=8),
        Variant(SCALED, "thaw, scaled", large_sizes, scale=8),
        Variant(STOCK, "stock TFX", stock_sizes, is_repeated=False),
    )
    return Plan(variants, num_rounds, stock_sizes[1])


FULL = plan_of((2000, 10_000), (40, 160), (200, 600), num_rounds=3)
SMOKE = plan_of((120, 240), (18, 36), (60, 120), num_rounds=1)


@dataclass(frozen=True)
class Run:
    """One measured process."""

    variant: Variant
    num_photographs: int
    measurement: Measurement

    @property
    def duration_s(self) -> float:
        """Sum over the steps that are compared."""
        durations_s: dict[str, float] = self.measurement.result["durations_s"]
        return math.fsum(seconds for step, seconds in durations_s.items() if step in COMPARED_STEPS)

    @property
    def checking_s(self) -> float:
        """Sum over the other steps: statistics and validation."""
        return math.fsum(self.measurement.result["durations_s"].values()) - self.duration_s


@dataclass(frozen=True)
class Summary:
    """What the runs of one variant say; pairs are for the small and the large size.

    Attributes:
        variant: which.
        seconds: medians.
        peaks_mib: medians of the peak memory.
        imports_mib: median of the memory after the imports.
        checking_share: median of what statistics and validation add to the time, on the large size.
        images_per_s: slope between the medians.
        bytes_per_image: of each artifact, on the large size.
    """

    variant: Variant
    seconds: tuple[float, float]
    peaks_mib: tuple[float, float]
    imports_mib: float
    checking_share: float
    images_per_s: float | None
    bytes_per_image: dict[str, float]

    @property
    def fixed_s(self) -> float | None:
        """What no photographs at all would take."""
        return fixed_cost_s(self.variant.sizes[0], self.seconds[0], self.images_per_s)


def schedule(plan: Plan) -> list[tuple[Variant, int]]:
    """(variant, number of photographs) of all runs: those that run once first, the others interleaved.

    Every second round runs backwards, so that a machine that slows down or speeds up favours nobody.
    """
    repeated = [variant for variant in plan.variants if variant.is_repeated]
    one_round = [(variant, variant.sizes[index]) for index in (0, 1) for variant in repeated]
    rounds = [one_round if number % 2 == 0 else one_round[::-1] for number in range(plan.num_rounds)]
    once = [(variant, size) for variant in plan.variants if not variant.is_repeated for size in variant.sizes]
    return [*once, *(run for one in rounds for run in one)]


def summarize(variant: Variant, runs: Sequence[Run]) -> Summary:
    """Medians and slope of one variant."""
    own = [run for run in runs if run.variant == variant]
    small, large = ([run for run in own if run.num_photographs == size] for size in variant.sizes)
    seconds = (statistics.median(run.duration_s for run in small), statistics.median(run.duration_s for run in large))
    return Summary(
        variant,
        seconds,
        (_peak_mib(small), _peak_mib(large)),
        statistics.median(run.measurement.result["memory_after_imports_mib"] for run in own),
        statistics.median(run.checking_s / run.duration_s for run in large),
        slope_per_s(variant.sizes, seconds),
        large[0].measurement.result["bytes_per_image"],
    )


def _peak_mib(runs: Sequence[Run]) -> float:
    return statistics.median(run.measurement.peak_memory_mib for run in runs)
