"""Whether the cache pays for a phase, and for which of the phases after it the pass keeps activations, too."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.activation_cache.measuring import measure
from trainer.activation_cache.planning import Costs, Work, decide
from trainer.activation_cache.rows import Codec
from trainer.activation_cache.store import Store
from trainer.activation_cache.wanted import Wanted, WantedOfPhase
from trainer.phase_length import PhaseLength
from trainer.training_setup import Setup


class NotUsed(Exception):
    """Why the cache is not used, in words."""


@dataclass(frozen=True)
class Candidate:
    """A phase that might read from the cache.

    Attributes:
        wanted: what it would read.
        length: how long it is.
    """

    wanted: WantedOfPhase
    length: PhaseLength


@dataclass(frozen=True)
class Choice:
    """What the pass computes.

    Attributes:
        wanted: entries, those of the phase itself first.
        codecs: how their rows are stored, by key.
        why: what it saves, in words.
    """

    wanted: tuple[Wanted, ...]
    codecs: dict[str, Codec]
    why: str


def is_complete(store: Store, wanted: WantedOfPhase) -> bool:
    """Whether all that a phase reads is there and undamaged; reads all of it."""
    found = [each.find(store) for each in wanted.all]
    return all(entry is not None and not entry.missing() for entry in found)


def choose(setup: Setup, store: Store, candidates: Sequence[Candidate], is_asked_for: bool) -> Choice:
    """Decides, and makes room.

    Args:
        setup: the model as it is now.
        store: the cache.
        candidates: the phase that is to be trained, and those after it whose activations the same pass gives.
        is_asked_for: the first one uses it whether it pays or not.

    Raises:
        NotUsed: it does not pay for the first, or has no room for it.
        OSError: nothing can be written.
    """
    own = candidates[0].wanted
    obstacle = store.obstacle(own.num_bytes)
    if obstacle is not None:
        raise NotUsed(obstacle)
    measured = measure(setup, store, [each.wanted.train[0] for each in candidates])
    decision = decide(_work(setup, store, candidates[0], is_first=True), measured[0][0])
    if not (decision.is_used or is_asked_for):
        raise NotUsed(decision.why)
    obstacle = _make_room(store, [own])
    if obstacle is not None:
        raise NotUsed(obstacle)
    chosen = [own]
    for candidate, (costs, _) in zip(candidates[1:], measured[1:], strict=True):
        if _comes_along(setup, store, candidate, costs) and _make_room(store, [*chosen, candidate.wanted]) is None:
            chosen.append(candidate.wanted)
    codecs = {
        each.key: codec
        for candidate, (_, codec) in zip(candidates, measured, strict=True)
        for each in candidate.wanted.all
    }
    return Choice(tuple(each for phase in chosen for each in phase.all), codecs, decision.why)


def _comes_along(setup: Setup, store: Store, candidate: Candidate, costs: Costs) -> bool:
    return decide(_work(setup, store, candidate, is_first=False), costs).is_used


def _work(setup: Setup, store: Store, candidate: Candidate, is_first: bool) -> Work:
    length, wanted = candidate.length, candidate.wanted
    num_kept = sum(_num_missing(store, each) for each in wanted.all)
    num_trained = min(length.num_epochs * setup.data.train.num_examples, length.num_steps * setup.global_batch_size)
    return Work(
        num_images=num_trained + length.num_evaluations * setup.data.eval.num_examples,
        num_computed=num_kept if is_first else 0,
        num_kept=num_kept,
        num_bytes=wanted.num_bytes,
    )


def _num_missing(store: Store, wanted: Wanted) -> int:
    entry = wanted.find(store)
    return wanted.num_rows if entry is None else sum(len(entry.rows_of(shard)) for shard in entry.missing())


def _make_room(store: Store, phases: Sequence[WantedOfPhase]) -> str | None:
    """Why there is none, in words."""
    wanted = {each.key: each for phase in phases for each in phase.all}
    lacking = sum(_num_missing(store, each) * each.row_format.num_bytes for each in wanted.values())
    return store.make_room(lacking, set(wanted))
