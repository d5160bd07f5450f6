"""Puts the model that training begins with into the cache key."""

from typing import Any

from components.driver import PropertyDriver
from components.fine_tuner.warm_start import properties_of


class Driver(PropertyDriver):
    """Adds the execution property `warm_start_sha256` where the settings ask for a warm start."""

    def more_properties(self, exec_properties: dict[str, Any]) -> dict[str, str]:
        """The digest of that model."""
        return properties_of(exec_properties)
