"""What `thaw` ends with."""

PUSHED = 0
FAILED = 1
WRONG_USE = 2
REFUSED = 3
INTERRUPTED = 130


class Interrupted(Exception):
    """Work was stopped from outside, and has left everything in order."""
