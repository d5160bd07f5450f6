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
_WAITING = Progress(0, None, "images", "waiting for another training that fills the same cache")


class Passes:
    """What computes entries; a graph is made once for all entries that need the same one.

    Attributes:
        store: where entries lie.
    """

    def __init__(self, setup: Setup, store: Store) -> None:
        """Takes the model as it is now."""
        self.store = store
        self._setup = setup
        self._made: dict[object, Below] = {}

    def below_of(self, wanted: Sequence[Wanted]) -> Below:
        """What computes rows of entries of one view, at one or more cuts."""
        formats, view = tuple((each.cut, each.row_format) for each in wanted), wanted[0].view
        setup = self._setup
        if (formats, view) not in self._made:
            self._made[formats, view] = Below(setup.model, setup.strategy, setup.global_batch_size, formats, view)
        return self._made[formats, view]

    def fill_all(self, wanted: Sequence[Wanted], codecs: Mapping[str, Codec], check: Callable[[], None]) -> None:
        """Computes and writes what is missing; entries of one split and view share a pass.

        Whoever else fills one of them is waited for.

        Args:
            wanted: entries.
            codecs: how rows of new entries are stored, by key.
            check: called often; what it raises ends the work, and full shards stay.

        Raises:
            OSError: a shard could not be written.
        """

        def wait() -> None:
            check()
            report(_WAITING)

        with ExitStack() as locks:
            for key in sorted({each.key for each in wanted}):  # the same order everywhere: nobody waits in a circle
                locks.enter_context(self.store.filling(key, wait))
            groups = [_fillings(self.store, group, codecs, check) for group in _groups(wanted)]
            tally = Tally(sum(num_missing_rows(fillings) for _, fillings in groups), "images")
            for group, fillings in groups:
                if fillings:
                    fill(fillings, self.below_of(group), group[0].split, tally, check)


def _groups(wanted: Iterable[Wanted]) -> list[list[Wanted]]:
    groups: dict[_Group, dict[str, Wanted]] = {}
    for each in wanted:
        groups.setdefault((each.split, each.view), {})[each.key] = each
    return [list(group.values()) for group in groups.values()]


def _fillings(
    store: Store, wanted: list[Wanted], codecs: Mapping[str, Codec], check: Callable[[], None]
) -> tuple[list[Wanted], list[Filling]]:
    """Those that lack something, and what they lack."""
    found = []
    for each in wanted:
        entry = each.find(store)
        if entry is None:
            entry = store.create(each.key, each.row_format, each.num_rows, codecs.get(each.key, "none"))
        missing = set(entry.missing(check))
        if missing:
            found.append((each, Filling(entry, missing)))
    return [each for each, _ in found], [filling for _, filling in found]
