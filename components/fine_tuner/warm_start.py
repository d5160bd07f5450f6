"""Which model a training begins with: resolved by content, so that the cache and the checkpoints follow it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import ThawError
from trainer.serving import complete_versions, find_version
from trainer.settings import LATEST, ModelSettings
from trainer.warm_start import digest_of

SHA256_PROPERTY = "warm_start_sha256"


def find_origin(exec_properties: Mapping[str, Any]) -> Path | None:
    """The exported model that training begins with.

    Args:
        exec_properties: of FineTuner.

    Returns:
        The folder of a version; None without a warm start, and with "latest" as long as nothing has been pushed.

    Raises:
        ThawError: the folder that the settings name holds no complete model.
    """
    asked = ModelSettings.model_validate_json(exec_properties["model_settings"]).warm_start
    if asked is None:
        return None
    if asked != LATEST:
        return find_version(Path(asked))
    return next(iter(complete_versions(Path(exec_properties["push_destination"]))), None)


def properties_of(exec_properties: Mapping[str, Any]) -> dict[str, str]:
    """The digest of what training begins with, empty where that is no model yet; nothing without a warm start.

    Raises:
        ThawError: see `find_origin`; the model has no weights to begin with.
    """
    if ModelSettings.model_validate_json(exec_properties["model_settings"]).warm_start is None:
        return {}
    origin = find_origin(exec_properties)
    return {SHA256_PROPERTY: digest_of(origin) if origin is not None else ""}


def checked_origin(exec_properties: Mapping[str, Any]) -> Path | None:
    """As `find_origin`, for the executor: what the driver has put into the cache key must still be what is there.

    Raises:
        ThawError: another model has been pushed since the step began.
    """
    origin = find_origin(exec_properties)
    found = digest_of(origin) if origin is not None else ""
    if found != exec_properties.get(SHA256_PROPERTY, found):
        raise ThawError(
            f"model.warm_start: the model to begin with became another, {str(origin)!r}, while the step was starting; "
            "run again"
        )
    return origin
