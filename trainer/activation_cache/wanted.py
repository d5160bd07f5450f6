"""The entries that a phase reads: one for each view of the training images, and one for the eval split."""

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from trainer.activation_cache import cuts, entries, keys
from trainer.activation_cache.cuts import Cut
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.rows import RowFormat
from trainer.activation_cache.store import Store
from trainer.activation_cache.views import View
from trainer.datasets import Split
from trainer.phase_settings import PhaseSettings
from trainer.training_setup import Setup


@dataclass(frozen=True)
class Wanted:
    """An entry, there or not.

    Attributes:
        key: its name.
        split: whose images it is of.
        cut: where the activations are from.
        row_format: how they are stored.
        view: that the images are seen in; None for the images as they are.
    """

    key: str
    split: Split
    cut: Cut
    row_format: RowFormat
    view: View | None

    @property
    def num_rows(self) -> int:
        """One more than examples: the last is that of a blank image, which pads batches."""
        return self.split.num_examples + 1

    @property
    def num_bytes(self) -> int:
        """On the disk at most."""
        return entries.most_bytes(self.row_format, self.num_rows)

    def find(self, store: Store) -> Entry | None:
        """The entry, complete or not."""
        return store.find(self.key, self.row_format, self.num_rows)


@dataclass(frozen=True)
class Planned:
    """A phase, or a part of a search, that goes through the images.

    Attributes:
        phase: its settings.
        seed: of its augmentation.
    """

    phase: PhaseSettings
    seed: int


@dataclass(frozen=True)
class WantedOfPhase:
    """All entries that a phase reads.

    Attributes:
        phase: that reads them.
        cut: where its activations are from.
        train: one for each view.
        evaluated: of the eval split.
    """

    phase: PhaseSettings
    cut: Cut
    train: tuple[Wanted, ...]
    evaluated: Wanted

    @property
    def all(self) -> tuple[Wanted, ...]:
        """Each of them once; a training split may be the eval split, too."""
        return tuple({each.key: each for each in (*self.train, self.evaluated)}.values())

    @property
    def has_views(self) -> bool:
        """Whether it reads variations of the training images."""
        return self.train[0].view is not None

    @property
    def keys(self) -> frozenset[str]:
        """Of all entries."""
        return frozenset(each.key for each in self.all)

    @property
    def num_bytes(self) -> int:
        """On the disk at most."""
        return sum(each.num_bytes for each in self.all)


def wanted_of(setup: Setup, planned: Planned) -> WantedOfPhase:
    """What a phase would read, with the model as it is now.

    Args:
        setup: the model and the data.
        planned: whose freeze boundary and augmentation count.
    """
    phase = planned.phase
    cut = cuts.cut_for(setup.model, phase)
    row_format = RowFormat(tuple(_stored(spec, setup) for spec in cuts.layout(setup.model, cut)))
    layers = keys.layers_below(setup.model, setup.settings, cut)

    def wanted(split: Split, view: View | None) -> Wanted:
        key = keys.key_of(layers, keys.digest_of(split), row_format, view)
        return Wanted(key, split, cut, row_format, view)

    train = tuple(wanted(setup.data.train, view) for view in _views(phase, planned.seed))
    return WantedOfPhase(phase, cut, train, wanted(setup.data.eval, None))


def _views(phase: PhaseSettings, seed: int) -> Sequence[View | None]:
    if phase.augmentation.changes_nothing:
        return [None]
    return [View(phase.augmentation, seed, number) for number in range(phase.augmentation.num_views or 1)]


def _stored(spec: tf.TensorSpec, setup: Setup) -> tf.TensorSpec:
    """Only float32 is shortened: what has two bytes already would gain nothing."""
    stored_as = setup.settings.cache_dtype
    is_shortened = stored_as != "exact" and spec.dtype == tf.float32
    return tf.TensorSpec(spec.shape, tf.as_dtype(stored_as) if is_shortened else spec.dtype)
