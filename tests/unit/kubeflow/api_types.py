"""Whether a message is of one of the published OpenAPI types of Kubeflow Pipelines: kfp-server-api has their models."""

import re
from datetime import datetime
from typing import Any

import kfp_server_api

_PRIMITIVES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}
_MAP = re.compile(r"dict\(str, (.*)\)")
_LIST = re.compile(r"list\[(.*)\]")


def complaints(value: Any, type_name: str, path: str = "") -> list[str]:
    """What is wrong with a JSON value as a message of that type: unknown keys, wrong types, values no enum has."""
    if value is None:
        return []
    if type_name in _PRIMITIVES:
        return [] if _is(value, _PRIMITIVES[type_name]) else [f"{path}: {value!r} is no {type_name}"]
    if type_name == "object":
        return []
    if type_name == "datetime":
        return [] if _is_time(value) else [f"{path}: {value!r} is no RFC 3339 time"]
    if match := _LIST.fullmatch(type_name):
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [found for index, item in enumerate(value) for found in complaints(item, match[1], f"{path}[{index}]")]
    if match := _MAP.fullmatch(type_name):
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no object"]
        return [found for key, item in value.items() for found in complaints(item, match[1], f"{path}.{key}")]
    return _of_model(value, getattr(kfp_server_api.models, type_name), path)


def _of_model(value: Any, model: type, path: str) -> list[str]:
    allowed = getattr(model, "allowable_values", None)
    if allowed is not None:
        return [] if value in allowed else [f"{path}: {value!r} is none of {allowed}"]
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    names = {key: name for name, key in model.attribute_map.items()}
    found = [f"{path}.{key}: unknown" for key in value if key not in names]
    for key, item in value.items():
        if key in names:
            found += complaints(item, model.openapi_types[names[key]], f"{path}.{key}")
    return found


def _is(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
