"""What a check comes to."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What was found at one place.

    Attributes:
        what: what was looked at, in a word or two.
        status: a "problem" keeps `thaw run` from working; a "warning" does not.
        found: what is there.
        remedy: how to mend it; empty where all is well.
    """

    what: str
    status: Status
    found: str
    remedy: str = ""


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding(what, "ok", found)


def warning(what: str, found: str, remedy: str) -> Finding:
    """Works, but perhaps not as wanted."""
    return Finding(what, "warning", found, remedy)


def problem(what: str, found: str, remedy: str) -> Finding:
    """Does not work."""
    return Finding(what, "problem", found, remedy)
