"""Whether to use the cache for a phase, and why, in one line."""

from dataclasses import dataclass

from trainer.activation_cache.store import in_words
from trainer.augmentation_settings import AugmentationSettings


@dataclass(frozen=True)
class Work:
    """What a phase asks for.

    Attributes:
        num_images: how often an image goes through the frozen layers without the cache, evaluations included.
        num_computed: how many images must go through them to have all in the cache.
        num_kept: how many of these must be written.
        num_bytes: what the cache takes on the disk.
    """

    num_images: int
    num_computed: int
    num_kept: int
    num_bytes: int


@dataclass(frozen=True)
class Costs:
    """Seconds per image, measured on this machine, in this run.

    Attributes:
        below_s: of the frozen layers.
        kept_s: of writing an image's activations to the cache.
        read_s: of reading them back.
    """

    below_s: float
    kept_s: float
    read_s: float


@dataclass(frozen=True)
class Decision:
    """Whether the cache is used.

    Attributes:
        is_used: whether.
        why: in words, without a full stop.
    """

    is_used: bool
    why: str


def obstacle(augmentation: AugmentationSettings, num_weights_below: int, num_workers: int) -> str | None:
    """Why activations of a phase cannot be kept, in words; None where they can.

    Args:
        augmentation: of the phase.
        num_weights_below: parameters of the layers below the freeze boundary.
        num_workers: machines that train.
    """
    if not num_weights_below:
        return "no frozen layer with weights lies below the freeze boundary"
    if num_workers > 1:
        return "several machines train, and each sees another part of the images"
    if augmentation.mixes_images:
        return "MixUp and CutMix make other images in every batch"
    if not augmentation.changes_nothing and augmentation.num_views is None:
        return "augmentation makes other images in every epoch; augmentation.num_views would fix how many"
    return None


def decide(work: Work, costs: Costs) -> Decision:
    """By the expected time."""
    without_s = work.num_images * costs.below_s
    kept_s, read_s = work.num_kept * costs.kept_s, work.num_images * costs.read_s
    with_s = work.num_computed * costs.below_s + kept_s + read_s
    sizes = f"{1000 * costs.below_s:.3g} ms per image, {in_words(work.num_bytes)} on the disk"
    if with_s >= without_s:
        return Decision(False, f"it would take {_seconds(with_s)} in place of {_seconds(without_s)}: {sizes}")
    saved = f"saves about {_seconds(without_s - with_s)} of {_seconds(without_s)}"
    return Decision(True, f"{saved} in frozen layers: {sizes}")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
