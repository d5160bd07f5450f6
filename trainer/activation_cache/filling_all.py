"""Computing all that is missing in several entries, with as few passes over the images as can be."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

from trainer.activation_cache.filling import Below, Filling, fill, num_missing_rows
from trainer.activation_cache.rows import Codec
from trainer.activation_cache.store import Store
from trainer.activation_cache.views import View
from trainer.activation_cache.wanted import Wanted
from trainer.datasets import Split
from trainer.progress import Progress, Tally, report
from trainer.training_setup import Setup

_Group = tuple[Split, View | None]


def fill_all(
    setup: Setup, store: Store, wanted: Sequence[Wanted], codecs: Mapping[str, Codec], check: Callable[[], None]
) -> None:
    """Computes and writes what is missing; entries of one split and view share a pass.

    Whoever else fills one of them is waited for.

    Args:
        setup: the model as it is now.
        store: where entries lie.
        wanted: entries.
        codecs: how rows of new entries are stored, by key.
        check: called often; what it raises ends the work, and full shards stay.

    Raises:
        OSError: a shard could not be written.
    """
    waiting = Progress(0, None, "images", "waiting for another training that fills the same cache")

    def wait() -> None:
        check()
        report(waiting)

    with ExitStack() as locks:
        for key in sorted({each.key for each in wanted}):  # in one order everywhere, so that nobody waits in a circle
            locks.enter_context(store.filling(key, wait))
        groups = [_fillings(store, group, codecs) for group in _groups(wanted)]
        tally = Tally(sum(num_missing_rows(fillings) for _, fillings in groups), "images")
        for group, fillings in groups:
            if fillings:
                below = below_of(setup, group)
                fill(fillings, below, group[0].split, tally, check)


def below_of(setup: Setup, wanted: Sequence[Wanted]) -> Below:
    """What computes rows of entries of one split and view."""
    formats = [(each.cut, each.row_format) for each in wanted]
    return Below(setup.model, setup.strategy, setup.global_batch_size, formats, wanted[0].view)


def _groups(wanted: Iterable[Wanted]) -> list[list[Wanted]]:
    groups: dict[_Group, dict[str, Wanted]] = {}
    for each in wanted:
        groups.setdefault((each.split, each.view), {})[each.key] = each
    return [list(group.values()) for group in groups.values()]


def _fillings(store: Store, wanted: list[Wanted], codecs: Mapping[str, Codec]) -> tuple[list[Wanted], list[Filling]]:
    """Those that lack something, and what they lack."""
    found = []
    for each in wanted:
        entry = each.find(store)
        if entry is None:
            entry = store.create(each.key, each.row_format, each.num_rows, codecs.get(each.key, "none"))
        missing = set(entry.missing())
        if missing:
            found.append((each, Filling(entry, missing)))
    return [each for each, _ in found], [filling for _, filling in found]
