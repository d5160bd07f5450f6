"""When an ingestion is not good enough to train on, and what should be known of one that is."""

from collections.abc import Iterator, Sequence

from components.image_example_gen.quarantine import Account, Duplicate
from components.image_example_gen.settings import IngestionSettings
from trainer.errors import ThawError

_NUM_SHOWN = 10
# With so small a probability, the classes of a split are not those of all examples by chance.
_IMBALANCE_PROBABILITY = 1e-4


def enforce(account: Account, splits: Sequence[str], settings: IngestionSettings) -> None:
    """Raises unless the examples are fit for training.

    Args:
        account: what came in and what was refused.
        splits: every split must hold every class.
        settings: the limits, and the classes where they are fixed.

    Raises:
        ThawError: too many refused, one class only, or a class without examples in a split.
    """
    _enforce_refused(account, settings.max_refused_fraction)
    found_labels = {label for _, label in account.accepted} | {item.label for item in account.refused} - {""}
    labels = sorted(found_labels if settings.labels is None else settings.labels)
    if len(labels) < 2:
        found = f"the one class {labels[0]!r}" if labels else "no class at all"
        raise ThawError(f"found {found}; a classifier needs at least two classes with images in them")
    _enforce_every_class_in_every_split(account, splits, labels)


def _enforce_refused(account: Account, max_refused_fraction: float) -> None:
    if account.refused_fraction <= max_refused_fraction:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in account.num_by_reason().items())
    shown = [f"  {item.path}: {item.reason} ({item.detail})" for item in account.refused[:_NUM_SHOWN]]
    if len(account.refused) > _NUM_SHOWN:
        shown.append(f"  … and {len(account.refused) - _NUM_SHOWN} more")
    raise ThawError(
        f"{len(account.refused)} of {account.num_files} files were refused "
        f"({account.refused_fraction:.2%}: {reasons}), "
        f"more than data.max_refused_fraction allows ({max_refused_fraction:.2%}); mend or remove them, or raise the "
        "limit:\n" + "\n".join(shown)
    )


def _enforce_every_class_in_every_split(account: Account, splits: Sequence[str], labels: Sequence[str]) -> None:
    missing = [f"{label!r} in {split}" for split in splits for label in labels if not account.accepted[split, label]]
    if not missing:
        return
    shown = ", ".join(missing[:_NUM_SHOWN]) + (
        f" and {len(missing) - _NUM_SHOWN} more" if len(missing) > _NUM_SHOWN else ""
    )
    raise ThawError(
        f"no examples of class {shown}; every class needs images in every split: add images of it, take the class out, "
        "or change data.splits"
    )


def warnings(account: Account) -> Iterator[str]:
    """What is allowed but should be known, in words."""
    across = [item for item in account.duplicates if item.is_across_splits]
    if across:
        yield (
            f"{_counted(across)} of photographs that are equal or look alike lie in different splits, so the test may "
            f"ask for what was learned by heart: {_shown(across)}"
        )
    contradictory = [item for item in account.duplicates if item.has_two_labels]
    if contradictory:
        yield (
            f"{_counted(contradictory)} of photographs that are equal or look alike have different classes: "
            + _shown(contradictory)
        )
    if account.num_unchecked:
        yield f"too many photographs look alike; {account.num_unchecked} comparisons among them were left out"
    yield from _imbalances(account)


def _imbalances(account: Account) -> Iterator[str]:
    from scipy.stats import chi2_contingency

    table = account.num_by_split()
    labels = sorted({label for counts in table.values() for label in counts})
    if len(labels) < 2:
        return
    for split, counts in table.items():
        others = [sum(table[other].get(label, 0) for other in table if other != split) for label in labels]
        here = [counts.get(label, 0) for label in labels]
        if not sum(others) or not sum(here):
            continue
        kept = [pair for pair in zip(here, others, strict=True) if any(pair)]
        if chi2_contingency(list(zip(*kept, strict=True))).pvalue < _IMBALANCE_PROBABILITY:
            yield (
                f"the classes of the split {split} are not those of the others, more than chance explains; "
                "data.stratify shares every class out evenly"
            )


def _counted(pairs: Sequence[Duplicate]) -> str:
    return f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}"


def _shown(pairs: Sequence[Duplicate]) -> str:
    words = [f"{item.first} ({item.first_split}) and {item.second} ({item.second_split})" for item in pairs[:3]]
    return "; ".join(words) + (f"; and {len(pairs) - 3} more" if len(pairs) > 3 else "")
