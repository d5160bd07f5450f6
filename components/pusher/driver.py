"""Keeps Pusher out of the cache: what is in the push destination now is not for an old run to say."""

from datetime import UTC, datetime
from typing import Any

from tfx import types

from components.driver import PropertyDriver


class Driver(PropertyDriver):
    """Adds the execution property `checked_at`, which no two runs share."""

    @classmethod
    def more_properties(
        cls, input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
    ) -> dict[str, str]:
        """The time."""
        return {"checked_at": datetime.now(UTC).isoformat()}
