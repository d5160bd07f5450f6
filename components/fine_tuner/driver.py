"""Puts the model that training begins with into the cache key."""

from typing import Any

from tfx import types

from components.driver import PropertyDriver
from components.fine_tuner.warm_start import properties_of


class Driver(PropertyDriver):
    """Adds the execution property `warm_start_sha256` where the settings ask for a warm start."""

    @classmethod
    def more_properties(
        cls, input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
    ) -> dict[str, str]:
        """The digest of that model."""
        return properties_of(input_dict, exec_properties)
