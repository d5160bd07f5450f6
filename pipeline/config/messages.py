"""Says in words what is wrong with a configuration: the key, the value, what is allowed, the nearest name."""

import difflib
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_MAX_TEXT = 120

_WHAT_IS_ALLOWED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "path_type": "must be the text of a path",
    "is_instance_of": "must be the text of a path",
    "none_required": "must be null",
    "dict_type": "must be a mapping of keys to values",
}


def problems_in_words(error: ValidationError, raw: Any, model: type[BaseModel]) -> list[str]:
    """One line for each problem.

    Args:
        error: what pydantic found.
        raw: the configuration that was validated.
        model: the class it was validated as.
    """
    found: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        if not (_is_about_another_form(detail) or _follows_from_another(detail)):
            found.setdefault(_real_keys(detail, raw), []).append(detail)
    return [_in_words(keys, details, model) for keys, details in found.items()]


def _is_about_another_form(detail: ErrorDetails) -> bool:
    """Where text or a mapping is allowed and a mapping is given, that it is not text is beside the point."""
    return detail["type"] == "literal_error" and isinstance(detail["input"], Mapping)


def _follows_from_another(detail: ErrorDetails) -> bool:
    """Pydantic counts an entry that is wrong in itself as absent, too."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _real_keys(detail: ErrorDetails, raw: Any) -> tuple[str, ...]:
    """The location as keys of the file, without what pydantic adds to tell the members of a union apart."""
    keys: list[str] = []
    node = raw
    for part in detail["loc"]:
        is_absent = isinstance(node, dict) and part not in node
        if isinstance(node, list) and isinstance(part, int):
            node = node[part]
        elif isinstance(node, dict) and (not is_absent or _is_last_of_missing(part, detail)):
            node = node.get(part)
        else:
            continue
        keys.append(str(part))
    return tuple(keys)


def _is_last_of_missing(part: int | str, detail: ErrorDetails) -> bool:
    return detail["type"] == "missing" and part == detail["loc"][-1]


def _in_words(keys: tuple[str, ...], details: list[ErrorDetails], model: type[BaseModel]) -> str:
    key = ".".join(keys)
    first = details[0]
    if first["type"] == "extra_forbidden":
        return f"{key}: {_unknown(keys, model)}"
    if first["type"] == "missing":
        return f"{key}: this key is required"
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):
        return f"{key}: {_allowed(first)}" if key else _allowed(first)
    allowed = " or ".join(dict.fromkeys(_allowed(detail).removeprefix("must be ") for detail in details))
    must_be = "must be " if _allowed(first).startswith("must be ") else ""
    return f"{key}: {_shown(first['input'])} {must_be}{allowed}"


def _allowed(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    words = _WHAT_IS_ALLOWED.get(detail["type"])
    return words.format_map(detail.get("ctx", {})) if words else f"is not valid: {detail['msg']}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    shorten = reprlib.Repr(maxlevel=2, maxdict=3, maxlist=3, maxstring=_MAX_TEXT, maxother=_MAX_TEXT)
    return shorten.repr(value)


def _unknown(keys: tuple[str, ...], model: type[BaseModel]) -> str:
    *above, key = keys
    names = sorted({name for parent in _models_at(above, model) for name in _field_names(parent)})
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(key.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"nearest: {by_lower[near[0]]}; " if near else ""
    return f"no such key; {hint}allowed here: {', '.join(names)}"


def _field_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_at(keys: list[str], model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that may stand at a place of the configuration."""
    models = [model]
    for key in keys:
        if key.isdecimal():  # An entry of a list: its models came with the list's key.
            continue
        annotations = [
            field.annotation
            for parent in models
            for name, field in parent.model_fields.items()
            if (field.alias or name) == key
        ]
        models = [found for annotation in annotations for found in models_in(annotation)]
    return models


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions, such as `Boundary` in `Literal["all"] | Boundary`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)
