"""Errors that are meant for the person who runs thaw.

Everything that a user can cause is raised as one of these, with a message that names what was wrong, the value, and
the remedy. The command line prints the message alone; anything else is a defect and keeps its stack trace in the log.
"""


class ThawError(Exception):
    """A run failed for a reason that its message explains (exit status 1)."""


class ConfigurationError(ThawError):
    """The configuration or the command was wrong; nothing has run (exit status 2)."""


class WeightsError(ThawError):
    """Pretrained weights are missing, unreachable, or not the ones that were asked for."""


class FreezeContractError(ThawError):
    """A variable that had to stay frozen in a phase has changed."""
