"""When an ingestion is not good enough to train on."""

from collections.abc import Sequence

from components.image_example_gen.quarantine import Account
from trainer.errors import ThawError

_NUM_SHOWN = 10


def enforce(account: Account, splits: Sequence[str], max_refused_fraction: float) -> None:
    """Raises unless the examples are fit for training.

    Args:
        account: what came in and what was refused.
        splits: every split must hold every class.
        max_refused_fraction: the largest share of the files that may be refused, in [0, 1].

    Raises:
        ThawError: too many refused, one class only, or a class without examples in a split.
    """
    _enforce_refused(account, max_refused_fraction)
    labels = sorted({label for _, label in account.accepted} | {item.label for item in account.refused})
    if len(labels) < 2:
        found = f"the one class {labels[0]!r}" if labels else "no class at all"
        raise ThawError(f"found {found}; a classifier needs at least two class folders with images in them")
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
