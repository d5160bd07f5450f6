"""The names of splits and classes: what is allowed, in one place."""

from trainer.errors import ThawError

SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "eval": "eval",
    "val": "eval",
    "valid": "eval",
    "validation": "eval",
    "dev": "eval",
    "test": "test",
    "testing": "test",
}
"""Every name that a split may have, in lower case, and the one it has here."""


def split_named(name: str) -> str:
    """The split that a name means.

    Raises:
        ValueError: it means none; the message lists what is allowed.
    """
    split = SPLIT_ALIASES.get(name.strip().lower())
    if split is None:
        raise ValueError(f"{name!r} is no split; allowed: {', '.join(SPLIT_ALIASES)}")
    return split


def check_folder_label(label: str) -> str:
    """The label itself, if the vocabulary, a text file with a class per line, can hold it.

    Raises:
        ThawError: it cannot.
    """
    problem = label_problem(label)
    if problem:
        raise ThawError(f"the name of the class folder {label!r} {problem}; rename it")
    return label


def label_problem(label: str) -> str:
    """Why the vocabulary cannot hold a label; "" where it can."""
    if set(label) & set("\n\r"):
        return "has a line break in it"
    try:
        label.encode()
    except UnicodeEncodeError:
        return "is not UTF-8 text"
    return ""
