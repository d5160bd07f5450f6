"""The JSON Schema that editors use."""

from collections.abc import Iterator
from typing import Any

from pipeline.config.schema import json_schema


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in [schema, *schema["$defs"].values()]:
        yield from part["properties"].items()


def test_every_key_and_section_is_described() -> None:
    schema = json_schema()
    undescribed = [name for name, key in properties(schema) if not key.get("description")]
    assert undescribed == []
    assert all(part["description"] for part in schema["$defs"].values())


def test_unknown_keys_are_refused() -> None:
    schema = json_schema()
    assert all(part["additionalProperties"] is False for part in [schema, *schema["$defs"].values()])


def test_limits_and_choices_are_in_the_schema() -> None:
    keys = dict(properties(json_schema()))
    assert keys["alpha"]["exclusiveMaximum"] == 0.5
    assert keys["direct_running_mode"]["enum"] == ["in_memory", "multi_threading", "multi_processing"]


def test_the_key_is_called_schema_as_in_the_file() -> None:
    assert "schema" in json_schema()["$defs"]["DataSettings"]["properties"]
