"""Opening the cache for a phase: whether it can be used, whether it pays, and computing what is missing."""

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from trainer.activation_cache import planning
from trainer.activation_cache.cached_feed import CachedFeed
from trainer.activation_cache.cuts import cut_for, num_parameters_below
from trainer.activation_cache.deciding import Candidate, NotUsed, choose, is_complete
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.filling_all import fill_all
from trainer.activation_cache.reading import Reader
from trainer.activation_cache.rows import Codec
from trainer.activation_cache.store import Store
from trainer.activation_cache.wanted import Wanted, WantedOfPhase, wanted_of
from trainer.errors import ThawError
from trainer.feeds import Feed, PixelFeed
from trainer.phase_settings import PhaseSettings
from trainer.training_setup import Setup


def open_feed(
    setup: Setup,
    phase: PhaseSettings,
    seed: int,
    later: Sequence[PhaseSettings] = (),
    check: Callable[[], None] = lambda: None,
    was_used: bool | None = None,
) -> Feed:
    """The cache if it can be used and pays, else the images.

    Args:
        setup: with the model as it is at the beginning of the phase, its freeze boundary set, and the cache.
        phase: that is to be trained.
        seed: of its augmentation.
        later: the phases after it, in their order; the pass keeps what they will need, as far as it comes by it.
        check: called often; what it raises ends the pass, and full shards stay.
        was_used: whether an earlier attempt at this training used the cache in this phase; None where there was none. A
            training that goes on must not change its mind.

    Raises:
        ThawError: the cache is required, and cannot be used.
    """
    with ExitStack() as held:
        try:
            feed = _cached_feed(setup, phase, seed, later, check, was_used, held)
        except (NotUsed, OSError) as error:
            reason = str(error) if isinstance(error, NotUsed) else f"it cannot be written ({error})"
            _complain(setup, phase, reason, was_used)
            feed = _pixel_feed(setup, phase, f"without the cache: {reason}")
    logging.getLogger(__name__).info("phase %s: %s", phase.name, feed.why)
    return feed


def _complain(setup: Setup, phase: PhaseSettings, reason: str, was_used: bool | None) -> None:
    if setup.settings.cache == "require":
        raise ThawError(
            f"model.cache is require, but phase {phase.name!r} cannot use the cache: {reason}; set it to auto or off "
            "to train without"
        )
    if was_used:
        warnings.warn(
            f"phase {phase.name!r} began with the cache and goes on without it: {reason}; its weights may differ from "
            "those of an undisturbed training in their last bits",
            stacklevel=3,
        )


def _pixel_feed(setup: Setup, phase: PhaseSettings, why: str) -> Feed:
    data = setup.data
    return PixelFeed(setup.model, data.train, data.eval, setup.global_batch_size, phase.augmentation, why)


def _cached_feed(
    setup: Setup,
    phase: PhaseSettings,
    seed: int,
    later: Sequence[PhaseSettings],
    check: Callable[[], None],
    was_used: bool | None,
    held: ExitStack,
) -> Feed:
    """Raises NotUsed where it is not to be used, and OSError where it cannot be written."""
    store = _store_of(setup, was_used)
    obstacle = obstacle_of(setup, phase)
    if obstacle is not None:
        raise NotUsed(obstacle)
    own = wanted_of(setup, phase, seed)
    for each in own.all:
        held.enter_context(store.using(each.key))
    codecs: dict[str, Codec] = {}
    why = "all of it was there"
    if not is_complete(store, own):
        is_asked_for = setup.settings.cache == "require" or bool(was_used)
        candidates = [Candidate(each, setup.length_of(each.phase)) for each in [own, *_following(setup, own, later)]]
        choice = choose(setup, store, candidates, is_asked_for)
        codecs, why = choice.codecs, choice.why
        with ExitStack() as others:
            for each in choice.wanted:
                others.enter_context(store.using(each.key))
            _fill(setup, store, own, choice.wanted, codecs, check)
    train = Reader(_entries(store, own.train), setup.data.train)
    evaluated = Reader(_entries(store, [own.evaluated]), setup.data.eval)

    def refill() -> None:
        fill_all(setup, store, own.all, codecs, check)

    return CachedFeed(
        setup.model,
        own.cut,
        (train, evaluated),
        setup.global_batch_size,
        f"with the cache: {why}",
        refill,
        held.pop_all(),
    )


def obstacle_of(setup: Setup, phase: PhaseSettings) -> str | None:
    """Why activations of a phase cannot be kept, in words; None where they can."""
    num_below = num_parameters_below(setup.model, cut_for(setup.model, phase))
    num_workers = int(getattr(setup.strategy.extended, "_num_workers", 1) or 1)
    return planning.obstacle(phase.augmentation, num_below, num_workers)


def _store_of(setup: Setup, was_used: bool | None) -> Store:
    if setup.settings.cache == "off":
        raise NotUsed("it is off")
    if setup.cache is None:
        raise NotUsed("there is no folder for it")
    if was_used is False:
        raise NotUsed("the attempt that this one goes on from did not use it")
    return setup.cache


def _following(setup: Setup, own: WantedOfPhase, later: Sequence[PhaseSettings]) -> list[WantedOfPhase]:
    """What phases after this one will read, as far as no phase before them can change it and it comes with the pass."""
    found: list[WantedOfPhase] = []
    lowest = own.cut.position
    for phase in later:
        if phase.unfreeze == "auto" or own.train[0].view is not None:
            break
        cut = cut_for(setup.model, phase)
        if cut.position <= lowest and phase.augmentation.changes_nothing and obstacle_of(setup, phase) is None:
            found.append(wanted_of(setup, phase, seed=0))
        lowest = min(lowest, cut.position)
    known = {own.evaluated.key: own, **{each.evaluated.key: each for each in found}}
    return [each for each in known.values() if each is not own]


def _fill(
    setup: Setup,
    store: Store,
    own: WantedOfPhase,
    wanted: Sequence[Wanted],
    codecs: dict[str, Codec],
    check: Callable[[], None],
) -> None:
    try:
        fill_all(setup, store, wanted, codecs, check)
    except OSError:
        for each in wanted:  # a full disk is not left full
            store.discard(each.key)
        raise


def _entries(store: Store, wanted: Sequence[Wanted]) -> list[Entry]:
    found = [each.find(store) for each in wanted]
    entries = [entry for entry in found if entry is not None]
    assert len(entries) == len(found)
    for entry in entries:
        entry.mark_used()
    return entries
