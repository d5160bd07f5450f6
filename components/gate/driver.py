"""Puts the production model into the cache key: a verdict holds for what it was compared with."""

from typing import Any

from tfx import types
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.driver import PropertyDriver
from components.gate.production import find_production


class Driver(PropertyDriver):
    """Adds the execution property `production_sha256`, empty while there is no production model."""

    @classmethod
    def more_properties(
        cls, input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
    ) -> dict[str, str]:
        """The digest of the production model."""
        candidate = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"]))
        production = find_production(exec_properties["push_destination"], candidate)
        return {"production_sha256": production.sha256 if production else ""}
