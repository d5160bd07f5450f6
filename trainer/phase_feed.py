"""What a phase trains on while it trains: the cache where it can, the images where it cannot, or no longer can."""

import logging
import warnings
from collections.abc import Callable, Sequence

from trainer import progress
from trainer.activation_cache.deciding import NotUsed
from trainer.activation_cache.opening import open_cached
from trainer.activation_cache.store import NO_STORE
from trainer.activation_cache.wanted import Planned
from trainer.errors import ThawError
from trainer.feeds import Feed, PixelFeed
from trainer.history import CacheUse
from trainer.settings import ModelSettings
from trainer.stages import Stage, stages_of
from trainer.training_setup import Setup

# A disk that damages what it is given again and again is not worth waiting for.
_MAX_REPAIRS = 10


def augmentation_seed(settings: ModelSettings, stage: Stage) -> int:
    """Of the augmentation of a stage; no two stages of a run share one."""
    return (settings.seed * 1_000_003 + stage.stream) % (2**31 - 1)


def planned_after(settings: ModelSettings, stage: Stage) -> list[Planned]:
    """The phases of the plan after a stage, in their order."""
    stages = stages_of(settings)
    names = [each.phase.name for each in stages]
    later = stages[names.index(stage.phase.name) + 1 :]
    return [Planned(each.phase, augmentation_seed(settings, each)) for each in later]


class PhaseFeed:
    """The batches of a phase: opened when they are first needed, mended, or replaced by the images.

    Attributes:
        use: whether it is the cache; None as long as that has not been decided.
        check: called often while the cache is filled; what it raises ends that.
    """

    def __init__(self, setup: Setup, stage: Stage, also: Sequence[Planned] | None) -> None:
        """Opens nothing yet.

        Args:
            setup: of the training.
            stage: that trains on them.
            also: where this is part of a search: what else goes through the images before the phases after it.
        """
        self._setup, self._stage, self._also = setup, stage, also
        self.use: CacheUse | None = None
        self.check: Callable[[], None] = lambda: None
        self._feed: Feed | None = None
        self._num_repairs = 0

    @property
    def feed(self) -> Feed:
        """Decided when it is first needed, with the weights of that time."""
        if self._feed is None:
            self._feed = self._opened()
            if self.use is None or self.use.is_used != self._feed.use.is_used:
                self.use = self._feed.use
            self._announce(self.use)
        return self._feed

    def mend(self) -> bool:
        """After batches ended with an error: whether it was damage to the cache, so that new ones go on."""
        feed = self.feed
        try:
            if not feed.repair():
                return False
            self._num_repairs += 1
            if self._num_repairs > _MAX_REPAIRS:
                raise NotUsed(f"it was damaged more than {_MAX_REPAIRS} times")
        except (NotUsed, OSError) as error:
            self.close()
            self._feed = self._images(_reason(error), self.use)
            self.use = self._feed.use
        return True

    def close(self) -> None:
        """Lets go of what it holds."""
        if self._feed is not None:
            self._feed.close()

    def _opened(self) -> Feed:
        setup, stage = self._setup, self._stage
        planned = Planned(stage.phase, augmentation_seed(setup.settings, stage))
        later = [*(self._also or ()), *planned_after(setup.settings, stage)]
        try:
            return open_cached(setup, planned, later, lambda: self.check(), self.use)
        except (NotUsed, OSError) as error:
            return self._images(_reason(error), self.use)

    def _images(self, why: str, before: CacheUse | None) -> Feed:
        """The images in the place of the cache.

        Raises:
            ThawError: the cache is required, and this is no search.
        """
        setup, phase = self._setup, self._stage.phase
        if setup.settings.cache == "require" and self._also is None:
            raise ThawError(
                f"model.cache is require, but phase {phase.name!r} cannot use the cache: {why}; set it to auto or off "
                "to train without"
            )
        if before is not None and before.is_used:
            warnings.warn(
                f"phase {phase.name!r} began with the cache and goes on without it: {why}; its weights may differ from "
                "those of an undisturbed training in their last bits",
                stacklevel=3,
            )
        data = setup.data
        return PixelFeed(setup.model, data.train, data.eval, setup.global_batch_size, phase.augmentation, why)

    def _announce(self, use: CacheUse) -> None:
        words = f"{self._stage.phase.name} {use.in_words}"
        logging.getLogger(__name__).info("%s", words)
        is_configured = self._setup.settings.cache != "off" and self._setup.cache is not NO_STORE
        if self._also is None and is_configured:
            progress.remark(words)


def _reason(error: NotUsed | OSError) -> str:
    return str(error) if isinstance(error, NotUsed) else f"it cannot be read or written ({error})"
