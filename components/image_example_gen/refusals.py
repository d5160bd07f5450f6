"""Why a photograph can be refused: a closed list."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a photograph was refused; the list is closed."""

    EMPTY_FILE = "empty file"
    NOT_AN_IMAGE = "not an image"
    UNSUPPORTED_FORMAT = "unsupported format"
    ANIMATED = "animated"
    TOO_MANY_PIXELS = "too many pixels"
    TOO_MANY_BYTES = "too many bytes"
    TRUNCATED = "truncated"
    CANNOT_BE_DECODED = "cannot be decoded"
    TOOK_TOO_LONG = "took too long"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    NO_LABEL = "no label"
    UNKNOWN_LABEL = "unknown label"
    CONFLICTING_LABELS = "conflicting labels"
    BAD_VALUE = "bad value"


class Refusal(Exception):
    """Raised for a photograph that is refused.

    Attributes:
        reason: one of the closed list.
        detail: what was found, in words.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
