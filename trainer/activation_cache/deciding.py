"""Whether the cache pays for a phase, and for which of the phases after it the pass keeps activations, too."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from trainer.activation_cache.filling_all import Passes
from trainer.activation_cache.measuring import measure
from trainer.activation_cache.planning import Costs, Work, decide
from trainer.activation_cache.rows import Codec
from trainer.activation_cache.store import Store
from trainer.activation_cache.wanted import Wanted, WantedOfPhase
from trainer.phase_length import PhaseLength
from trainer.progress import Progress, report
from trainer.training_setup import Setup


class NotUsed(Exception):
    """Why the cache is not used, in words."""


@dataclass(frozen=True)
class Candidate:
    """Phases that might read the same entries.

    Attributes:
        wanted: what they would read.
        lengths: how long each of them is.
    """

    wanted: WantedOfPhase
    lengths: tuple[PhaseLength, ...]


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


def lacking_rows(store: Store, wanted: WantedOfPhase, check: Callable[[], None]) -> dict[str, int]:
    """How many rows of each entry are not there or damaged, by key; reads all that is there."""
    found = {}
    for each in wanted.all:
        entry = each.find(store)
        found[each.key] = each.num_rows
        if entry is not None:
            report(Progress(0, each.num_rows, "images", "checking what is kept of them"))
            found[each.key] = sum(len(entry.rows_of(shard)) for shard in entry.missing(check))
    return found


def choose(
    setup: Setup,
    passes: Passes,
    candidates: Sequence[Candidate],
    lacking: Mapping[str, int],
    is_asked_for: bool,
    check: Callable[[], None],
    held: ExitStack,
) -> Choice:
    """Decides, and makes room.

    Args:
        setup: the model as it is now.
        passes: what computes entries, and where they lie.
        candidates: the phase that is to be trained, and those after it whose activations the same pass gives.
        lacking: `lacking_rows` of the first one.
        is_asked_for: the first one uses it whether it pays or not.
        check: called often; what it raises ends the work.
        held: keeps the room for what was chosen.

    Raises:
        NotUsed: it does not pay for the first, or has no room for it.
        OSError: nothing can be written.
    """
    store, own = passes.store, candidates[0].wanted
    for candidate in candidates[1:]:
        lacking = {**lacking, **lacking_rows(store, candidate.wanted, check)}
    works = [_work(setup, lacking, each, is_first=each is candidates[0]) for each in candidates]
    if works[0].num_images <= works[0].num_computed and not is_asked_for:
        raise NotUsed("no image would go through the frozen layers more than once")
    obstacle = store.obstacle(own.num_bytes)
    if obstacle is not None:
        raise NotUsed(obstacle)
    measured = measure(passes, [each.wanted.train[0] for each in candidates])
    decision = decide(works[0], measured[0][0])
    if not (decision.is_used or is_asked_for):
        raise NotUsed(decision.why)
    obstacle = _keep_room(store, [own], held)
    if obstacle is not None:
        raise NotUsed(obstacle)
    chosen = [own]
    for candidate, work, (costs, _) in zip(candidates[1:], works[1:], measured[1:], strict=True):
        if _comes_along(work, costs) and _keep_room(store, [*chosen, candidate.wanted], held) is None:
            chosen.append(candidate.wanted)
    codecs = {
        each.key: codec
        for candidate, (_, codec) in zip(candidates, measured, strict=True)
        for each in candidate.wanted.all
    }
    return Choice(tuple(each for phase in chosen for each in phase.all), codecs, decision.why)


def _comes_along(work: Work, costs: Costs) -> bool:
    return decide(work, costs).is_used


def _work(setup: Setup, lacking: Mapping[str, int], candidate: Candidate, is_first: bool) -> Work:
    wanted = candidate.wanted
    num_kept = sum(lacking[each.key] for each in wanted.all)
    return Work(
        num_images=sum(_num_images(setup, length) for length in candidate.lengths),
        num_computed=num_kept if is_first else 0,
        num_kept=num_kept,
        num_bytes=wanted.num_bytes,
    )


def _num_images(setup: Setup, length: PhaseLength) -> int:
    num_trained = min(length.num_epochs * setup.data.train.num_examples, length.num_steps * setup.global_batch_size)
    return num_trained + length.num_evaluations * setup.data.eval.num_examples


def _keep_room(store: Store, phases: Sequence[WantedOfPhase], held: ExitStack) -> str | None:
    """Why there is none, in words."""
    planned = {each.key: each.num_bytes for phase in phases for each in phase.all}
    return held.enter_context(store.room_for(planned))
