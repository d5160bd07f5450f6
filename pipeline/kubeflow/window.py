"""What a firing takes, in words: a schedule fixes the rule, and the photographs that are there decide."""

import json
from collections.abc import Mapping
from typing import Any

from pipeline.config.yaml_text import parse
from pipeline.kubeflow.package import Package


def window(package: Package, arguments: Mapping[str, Any]) -> str:
    """The data of each firing; "" where the pipeline does not say.

    Args:
        package: the pipeline; its parameters `data`, `images` and `span` are looked at.
        arguments: what the schedule gives.
    """
    settings = _settings(_value(package, arguments, "data"))
    images = _value(package, arguments, "images") or settings.get("images")
    if not images:
        return ""
    span = _span(_value(package, arguments, "span")) or settings.get("span")
    return f"{_span_in_words(span)} {images}"


def _value(package: Package, arguments: Mapping[str, Any], name: str) -> Any:
    parameter = package.parameters.get(name)
    return arguments.get(name, parameter.default if parameter else None)


def _settings(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _span(text: Any) -> Any:
    try:
        return parse(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _span_in_words(span: Any) -> str:
    if isinstance(span, dict) and "last" in span:
        return f"the newest {span['last']} spans there are then of"
    if span == "latest":
        return "the newest span there is then of"
    return f"the span {span}, the same each time, of" if span else "all that is there then of"
