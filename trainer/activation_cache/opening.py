"""Opening the cache for a phase: whether it can be used, whether it pays, and computing what is missing."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from trainer.activation_cache import planning
from trainer.activation_cache.cached_feed import CachedFeed
from trainer.activation_cache.cuts import cut_for, num_parameters_below
from trainer.activation_cache.deciding import Candidate, NotUsed, choose, lacking_rows
from trainer.activation_cache.entries import Entry
from trainer.activation_cache.filling_all import Passes
from trainer.activation_cache.reading import Reader
from trainer.activation_cache.rows import Codec
from trainer.activation_cache.store import NoStore, Store
from trainer.activation_cache.wanted import Planned, Wanted, WantedOfPhase, wanted_of
from trainer.history import CacheUse
from trainer.phase_settings import PhaseSettings
from trainer.training_setup import Setup


@dataclass(frozen=True)
class _Opening:
    """The arguments of `open_cached`."""

    setup: Setup
    planned: Planned
    later: Sequence[Planned]
    check: Callable[[], None]
    is_asked_for: bool


def open_cached(
    setup: Setup,
    planned: Planned,
    later: Sequence[Planned] = (),
    check: Callable[[], None] = lambda: None,
    before: CacheUse | None = None,
) -> CachedFeed:
    """What frozen layers make of the images, as batches; computed as far as it is not there.

    Args:
        setup: with the model as it is at the beginning of the phase, its freeze boundary set, and the cache.
        planned: the phase that is to be trained.
        later: what goes through the images after it, in its order; the pass keeps what they will need, as far as it
            comes by it.
        check: called often; what it raises ends the pass, and full shards stay.
        before: what an earlier attempt at this training did in this phase; None where there was none. A training that
            goes on does not change its mind.

    Raises:
        NotUsed: it is off, would change the result, does not pay, or has no room.
        OSError: it cannot be written.
    """
    store = _store_of(setup, before)
    obstacle = obstacle_of(setup, planned.phase)
    if obstacle is not None:
        raise NotUsed(obstacle)
    is_asked_for = setup.settings.cache == "require" or (before is not None and before.is_used)
    with ExitStack() as held:
        return _open(_Opening(setup, planned, later, check, is_asked_for), store, held)


def obstacle_of(setup: Setup, phase: PhaseSettings) -> str | None:
    """Why activations of a phase cannot be kept, in words; None where they can."""
    num_below = num_parameters_below(setup.model, cut_for(setup.model, phase))
    num_workers = int(getattr(setup.strategy.extended, "_num_workers", 1) or 1)
    return planning.obstacle(phase.augmentation, num_below, num_workers)


def _store_of(setup: Setup, before: CacheUse | None) -> Store:
    if setup.settings.cache == "off":
        raise NotUsed("it is off")
    if isinstance(setup.cache, NoStore):
        raise NotUsed(setup.cache.why)
    if before is not None and not before.is_used:
        raise NotUsed(before.why)
    return setup.cache


def _open(opening: _Opening, store: Store, held: ExitStack) -> CachedFeed:
    setup, check = opening.setup, opening.check
    own = wanted_of(setup, opening.planned)
    for each in own.all:
        held.enter_context(store.using(each.key))
    passes = Passes(setup, store)
    codecs: dict[str, Codec] = {}
    why = "all of it was there"
    lacking = lacking_rows(store, own, check)
    if any(lacking.values()):
        with ExitStack() as others:
            choice = choose(setup, passes, _candidates(opening, own), lacking, opening.is_asked_for, check, others)
            codecs, why = choice.codecs, choice.why
            for each in choice.wanted:
                others.enter_context(store.using(each.key))
            _fill(passes, choice.wanted, codecs, check)
    train, evaluated = _entries(store, own.train), _entries(store, [own.evaluated])
    codecs |= {entry.key: entry.codec for entry in (*train, *evaluated)}  # what is made anew is read as it was
    readers = Reader(train, setup.data.train), Reader(evaluated, setup.data.eval)

    def refill() -> None:
        passes.fill_all(own.all, codecs, check)

    return CachedFeed(setup.model, own.cut, readers, setup.global_batch_size, why, refill, held.pop_all())


def _candidates(opening: _Opening, own: WantedOfPhase) -> list[Candidate]:
    """The phase, and what will be read after it, as far as nothing before it can change it and it comes with the pass.

    What reads the same entries is one candidate.
    """
    setup = opening.setup
    found = {own.keys: own}
    lengths = {own.keys: [setup.length_of(own.phase)]}
    lowest = own.cut.position
    for planned in opening.later:
        phase = planned.phase
        if phase.unfreeze == "auto":
            break
        cut = cut_for(setup.model, phase)
        if cut.position <= lowest and obstacle_of(setup, phase) is None:
            wanted = wanted_of(setup, planned)
            if wanted.keys == own.keys or not (wanted.has_views or own.has_views):
                found.setdefault(wanted.keys, wanted)
                lengths.setdefault(wanted.keys, []).append(setup.length_of(phase))
        lowest = min(lowest, cut.position)
    return [Candidate(found[keys], tuple(lengths[keys])) for keys in found]


def _fill(passes: Passes, wanted: Sequence[Wanted], codecs: dict[str, Codec], check: Callable[[], None]) -> None:
    try:
        passes.fill_all(wanted, codecs, check)
    except OSError:
        for each in wanted:  # a full disk is not left full
            passes.store.discard_incomplete(each.key, each.row_format, each.num_rows)
        raise


def _entries(store: Store, wanted: Sequence[Wanted]) -> list[Entry]:
    found = [each.find(store) for each in wanted]
    entries = [entry for entry in found if entry is not None]
    assert len(entries) == len(found)
    for entry in entries:
        entry.mark_used()
    return entries
