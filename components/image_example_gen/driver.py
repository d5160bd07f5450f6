"""Runs before the cache is looked up, and puts the fingerprint of the files into the cache key."""

from typing import Any

from components.driver import PropertyDriver
from components.image_example_gen.executor import input_patterns
from components.image_example_gen.source import fingerprint, list_images

FINGERPRINT = "input_fingerprint"


class Driver(PropertyDriver):
    """Adds the execution property `input_fingerprint`."""

    def more_properties(self, exec_properties: dict[str, Any]) -> dict[str, str]:
        """The fingerprint of the files that the properties point to."""
        listing = list_images(exec_properties["input_base"], input_patterns(exec_properties))
        return {FINGERPRINT: fingerprint(listing)}
