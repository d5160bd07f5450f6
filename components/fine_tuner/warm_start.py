"""Which model a training begins with: resolved by content, so that the cache and the checkpoints follow it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.errors import ThawError
from trainer.settings import NO_WARM_START, ModelSettings
from trainer.warm_start.card import digest_of
from trainer.warm_start.origin import find_origin

SHA256_PROPERTY = "warm_start_sha256"

Inputs = Mapping[str, Sequence[Any]]


def training_sha256(inputs: Inputs, exec_properties: Mapping[str, Any]) -> str:
    """What stands for a training in the card of its models: a digest of its examples and its settings.

    Of the examples their place, and size and time of their files, since to read them all at each run would take long.
    The machine and our code do not count: what they alone make run again begins where the first attempt did.

    Args:
        inputs: artifacts by the names of FineTuner's inputs.
        exec_properties: of FineTuner.
    """
    uris = sorted(artifact.uri for artifacts in inputs.values() for artifact in artifacts)
    parts = [[uri, _files(uri)] for uri in uris]
    return hashlib.sha256(json.dumps([parts, exec_properties["model_settings"]]).encode()).hexdigest()


def _files(uri: str) -> list[tuple[str, int, int]]:
    """Name, size and time of each; nothing where they are in no file system that is mounted."""
    folder = Path(uri)
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()) if "://" not in uri else ()
    return [(path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns) for path, stat in found]


def origin_of(inputs: Inputs, exec_properties: Mapping[str, Any]) -> Path | None:
    """The exported model that training begins with; see `trainer.warm_start.origin.find_origin`.

    Raises:
        ThawError: the folder that the settings name holds no complete model.
    """
    asked = ModelSettings.model_validate_json(exec_properties["model_settings"]).warm_start
    if asked == NO_WARM_START:
        return None
    return find_origin(asked, exec_properties.get("push_destination"), training_sha256(inputs, exec_properties))


def properties_of(inputs: Inputs, exec_properties: Mapping[str, Any]) -> dict[str, str]:
    """The digest of what training begins with, empty where that is no model yet; nothing without a warm start.

    Raises:
        ThawError: see `origin_of`; the model has no weights to begin with.
    """
    if ModelSettings.model_validate_json(exec_properties["model_settings"]).warm_start == NO_WARM_START:
        return {}
    return {SHA256_PROPERTY: _digest(origin_of(inputs, exec_properties))}


def checked_origin(inputs: Inputs, exec_properties: Mapping[str, Any]) -> Path | None:
    """As `origin_of`, for the executor: what the driver has put into the cache key must still be what is there.

    Raises:
        ThawError: another model has been pushed since the step began.
    """
    origin = origin_of(inputs, exec_properties)
    expected = exec_properties.get(SHA256_PROPERTY)
    if expected is not None and expected != _digest(origin):
        raise ThawError(
            f"model.warm_start: the model to begin with has become another one, {str(origin)!r}, while the step was "
            "starting; run again"
        )
    return origin


def _digest(origin: Path | None) -> str:
    return digest_of(origin) if origin is not None else ""
