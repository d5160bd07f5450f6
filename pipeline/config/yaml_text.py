"""YAML as people mean it: the core schema of YAML 1.2, and nothing twice.

PyYAML reads YAML 1.1, where `1e-5` is text, `no` is false, `010` is eight and `12:30` is 750.
"""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


class _CoreLoader(yaml.SafeLoader):
    # Checked while composing: merge keys (`<<`) put more into a mapping later.
    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag not in _KEY_TAGS:
                raise yaml.composer.ComposerError(None, None, "keys must be plain names", key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value!r} is given twice"
                raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return node


def _int(loader: _CoreLoader, node: ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    try:
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    except ValueError:  # Python refuses to read numbers of thousands of digits.
        raise yaml.constructor.ConstructorError(None, None, "the number is too long", node.start_mark) from None


def _float(loader: _CoreLoader, node: ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


def _set_up() -> None:
    _CoreLoader.yaml_implicit_resolvers = {}  # Those of YAML 1.1 belong to the base class.
    for tag, pattern, first in (
        ("merge", r"<<", ["<"]),
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
            list("-+.0123456789"),
        ),
        ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ):
        regexp = re.compile(rf"^(?:{pattern})$")
        _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", regexp, first)
    _CoreLoader.add_constructor("tag:yaml.org,2002:int", _int)
    _CoreLoader.add_constructor("tag:yaml.org,2002:float", _float)


_set_up()


def parse(text: str) -> Any:
    """Reads one YAML document.

    Raises:
        ValueError: the text is not valid YAML; the message says where, and what is wrong.
    """
    try:
        # A subclass of SafeLoader: it builds plain data only.
        return yaml.load(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{place}{what}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def dump(data: Any) -> str:
    """Writes plain data so that `parse` reads the same back."""
    return yaml.dump(data, Dumper=_CoreDumper, sort_keys=False, allow_unicode=True, width=110)


class _CoreDumper(yaml.SafeDumper):
    """Quotes what either version of YAML would read as something other than text."""


_CoreDumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
        *_CoreLoader.yaml_implicit_resolvers.get(first, []),
    ]
    for first in {
        *yaml.SafeDumper.yaml_implicit_resolvers,
        *_CoreLoader.yaml_implicit_resolvers,
    }
}
