"""`--set a.b.1.c=value`: changing single keys of a configuration on the command line."""

from collections.abc import Sequence
from typing import Any

from pipeline.config.yaml_text import parse


def apply_overrides(raw: Any, overrides: Sequence[str]) -> tuple[Any, list[str]]:
    """Sets each key in turn.

    Nothing is changed in place: YAML anchors make several places share one object.

    Args:
        raw: the configuration as read from the file.
        overrides: texts `a.b.1.c=value`; the value is YAML, numbers index lists.

    Returns:
        The changed configuration, and what was wrong with overrides that could not be applied.
    """
    problems = []
    for override in overrides:
        try:
            key, value = _split(override)
            raw = _with_value(raw, key.split("."), value, walked=())
        except ValueError as error:
            problems.append(f"--set {override}: {error}")
    return raw, problems


def _split(override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    key = key.strip()
    if not separator or not key:
        raise ValueError("must be key=value, such as model.phases.1.learning_rate=1e-5")
    if not all(key.split(".")):
        raise ValueError(f"the key {key!r} has an empty part")
    return key, _value(text.strip())


def _value(text: str) -> Any:
    # YAML's anchors, aliases and tags mean nothing here, but `*/*` is a common pattern.
    return text if text.startswith(("*", "&", "!", "%", "@")) else parse(text)


def _with_value(node: Any, parts: list[str], value: Any, walked: tuple[str, ...]) -> Any:
    """Returns `node` with `value` at the place that `parts` lead to."""
    if not parts:
        return value
    part, rest = parts[0], parts[1:]
    here = ".".join(walked) or "the configuration"
    if isinstance(node, list):
        index = _index(part, len(node), here)
        return [
            *node[:index],
            _with_value(node[index], rest, value, (*walked, part)),
            *node[index + 1 :],
        ]
    if node is None and part.isdecimal():
        raise ValueError(f"{here} has no entries, so there is no entry {part}")
    if node is not None and not isinstance(node, dict):
        raise ValueError(f"{here} is {node!r}, which has no key {part!r}")
    old = node or {}
    return {**old, part: _with_value(old.get(part), rest, value, (*walked, part))}


def _index(part: str, length: int, here: str) -> int:
    if not part.isdecimal():
        raise ValueError(f"{here} is a list, so {part!r} must be the number of an entry, 0 to {length - 1}")
    if int(part) >= length:
        entries = "one entry, 0" if length == 1 else f"{length} entries, 0 to {length - 1}"
        raise ValueError(f"{here} has no entry {part}; it has {entries if length else 'none'}")
    return int(part)
