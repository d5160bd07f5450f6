"""The JSON Schema of the configuration, with a description of every key, for editors."""

import inspect
import re
from typing import Any

from pydantic import BaseModel

from pipeline.config.messages import models_in
from pipeline.config.models import Configuration

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file."""
    schema = Configuration.model_json_schema()
    classes = {model.__name__: model for model in _all_models(Configuration)}
    for name, part in {**schema["$defs"], Configuration.__name__: schema}.items():
        _describe(part, classes[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _all_models(model: type[BaseModel]) -> set[type[BaseModel]]:
    children = {
        child for field in model.model_fields.values() for child in models_in(field.annotation) if child is not model
    }
    return {model}.union(*(_all_models(child) for child in children))


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Moves what the docstring says of each attribute to where an editor looks for it."""
    summary, _, _ = inspect.cleandoc(model.__doc__ or "").partition("Attributes:")
    schema["description"] = " ".join(summary.split())
    schema.pop("title", None)
    described = {name: text for parent in reversed(model.__mro__) for name, text in _attributes(parent)}
    for name, field_schema in schema["properties"].items():
        field_schema.pop("title", None)
        if name in described:
            field_schema["description"] = described[name]


def _attributes(model: type) -> list[tuple[str, str]]:
    """What the docstring of a class says of each of its own attributes."""
    _, _, attributes = inspect.cleandoc(model.__doc__ or "").partition("Attributes:")
    return [(name, " ".join(text.split())) for name, text in _ATTRIBUTE.findall(attributes)]
