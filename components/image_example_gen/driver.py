"""Runs before the cache is looked up, and puts the fingerprint of the photographs into the cache key."""

from typing import Any

from tfx import types

from components.driver import PropertyDriver
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.listing import fingerprint
from components.image_example_gen.sources.opening import open_source

FINGERPRINT = "input_fingerprint"


class Driver(PropertyDriver):
    """Adds the execution property `input_fingerprint`; the spans that are read are part of it."""

    @classmethod
    def more_properties(
        cls, input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
    ) -> dict[str, str]:
        """The fingerprint of the photographs that the settings point to."""
        settings = IngestionSettings.model_validate_json(exec_properties["settings"])
        return {FINGERPRINT: fingerprint(open_source(settings).list_entries())}
