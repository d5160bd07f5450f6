"""The entries that a phase reads: one for each view of the training images, and one for the eval split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import tensorflow as tf

from trainer.activation_cache import cuts, keys
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
        """One more than examples: that of a blank image, which pads batches."""
        return self.split.num_examples + 1

    @property
    def num_bytes(self) -> int:
        """On the disk at most."""
        return self.num_rows * self.row_format.num_bytes

    def find(self, store: Store) -> Entry | None:
        """The entry, complete or not."""
        return store.find(self.key, self.row_format, self.num_rows)


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
    def num_bytes(self) -> int:
        """On the disk at most."""
        return sum(each.num_bytes for each in self.all)


def wanted_of(setup: Setup, phase: PhaseSettings, seed: int) -> WantedOfPhase:
    """What a phase would read, with the model as it is now.

    Args:
        setup: the model and the data.
        phase: whose freeze boundary and augmentation count.
        seed: of its augmentation.
    """
    cut = cuts.cut_for(setup.model, phase)
    row_format = RowFormat(tuple(_stored(spec, setup) for spec in cuts.layout(setup.model, cut)))

    def wanted(split: Split, view: View | None) -> Wanted:
        key = keys.key_of(setup.model, setup.settings, cut, _digest_of(split), row_format, view)
        return Wanted(key, split, cut, row_format, view)

    train = tuple(wanted(setup.data.train, view) for view in _views(phase, seed))
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


@lru_cache(maxsize=8)
def _digest_of_files(split: Split, _stamps: tuple[tuple[int, int], ...]) -> str:
    return keys.digest_of(split)


def _digest_of(split: Split) -> str:
    """Read once, as long as no file has another size or time."""
    stats = [tf.io.gfile.stat(path) for path in split.files]
    return _digest_of_files(split, tuple((int(stat.length), int(stat.mtime_nsec)) for stat in stats))
