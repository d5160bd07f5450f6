"""A compiled pipeline: what is in the file that `thaw compile` writes."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.yaml_text import parse
from trainer.errors import ConfigurationError

_SCHEMA_VERSION = "2.1.0"
_MACRO = "[["
_TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


@dataclass(frozen=True)
class Parameter:
    """What a run may be given.

    Attributes:
        name: as in the pipeline.
        kind: its type in the specification, such as NUMBER_INTEGER.
        default: None where there is none.
    """

    name: str
    kind: str
    default: Any = None


@dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
        path: of the file.
        name: of the pipeline.
        digest: hex sha256 of the file.
        steps: names of its tasks, in the order of their dependencies.
        parameters: what a run may be given, by name.
    """

    path: Path
    name: str
    digest: str
    steps: tuple[str, ...]
    parameters: Mapping[str, Parameter]


def is_package(path: Path) -> bool:
    """Whether a YAML file is a compiled pipeline, and not a configuration."""
    try:
        return path.is_file() and "\npipelineInfo:" in "\n" + path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def read_package(path: Path) -> Package:
    """Reads a compiled pipeline.

    Raises:
        ConfigurationError: the file is none that Kubeflow Pipelines takes.
    """
    try:
        content = path.read_bytes()
        documents = list(yaml.safe_load_all(content))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"cannot read {path} as YAML: {' '.join(str(error).split())}") from None
    specification = documents[0] if documents and isinstance(documents[0], dict) else {}
    version, name = specification.get("schemaVersion"), specification.get("pipelineInfo", {}).get("name")
    if version != _SCHEMA_VERSION or not name:
        raise ConfigurationError(
            f"{path} is no pipeline that Kubeflow Pipelines takes: schemaVersion is {version!r}, and must be "
            f"{_SCHEMA_VERSION!r}; `thaw compile` writes one"
        )
    return Package(
        path=path,
        name=name,
        digest=hashlib.sha256(content).hexdigest(),
        steps=in_order(specification["root"]["dag"]["tasks"]),
        parameters=_parameters(specification["root"]),
    )


def arguments(package: Package, given: Sequence[str]) -> dict[str, Any]:
    """The arguments of a run.

    Args:
        package: the pipeline.
        given: texts `name=value`, the value written as in YAML.

    Raises:
        ConfigurationError: one is unknown, of the wrong type, or missing.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise ConfigurationError(f"--parameter {text}: must be NAME=VALUE")
        found[name] = _checked(package, name, value)
    missing = [name for name, item in package.parameters.items() if item.default is None and name not in found]
    if missing:
        raise ConfigurationError(f"{package.name} has no default for {', '.join(missing)}; give it with --parameter")
    return found


def _checked(package: Package, name: str, text: str) -> Any:
    parameter = package.parameters.get(name)
    if parameter is None:
        near = difflib.get_close_matches(name, package.parameters, n=1)
        known = f"nearest: {near[0]}" if near else f"it has {', '.join(package.parameters) or 'none'}"
        raise ConfigurationError(f"--parameter {name}: {package.name} has no such parameter; {known}")
    if _MACRO in text:
        raise ConfigurationError(
            f"--parameter {name}={text}: Kubeflow Pipelines 2.16 does not replace [[…]] in a schedule's parameters; "
            "what a firing takes is said by data.span in the configuration, such as {last: 7}"
        )
    try:
        value = text if parameter.kind == "STRING" else parse(text)
    except ValueError as error:
        raise ConfigurationError(f"--parameter {name}={text}: {error}") from None
    types = _TYPES.get(parameter.kind, ())
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ConfigurationError(f"--parameter {name}={text}: must be of the type {parameter.kind}")
    return value


def _parameters(root: dict[str, Any]) -> dict[str, Parameter]:
    defined = (root.get("inputDefinitions") or {}).get("parameters") or {}
    return {
        name: Parameter(name, entry.get("parameterType", "STRING"), entry.get("defaultValue"))
        for name, entry in defined.items()
    }


def in_order(tasks: dict[str, Any]) -> tuple[str, ...]:
    """Each task after those that it depends on; as in the file where that leaves a choice."""
    ordered: list[str] = []
    waiting = dict(tasks)
    while waiting:
        ready = [
            name for name, task in waiting.items() if not set(task.get("dependentTasks", ())) & set(waiting) - {name}
        ]
        if not ready:
            raise ConfigurationError(f"the tasks {', '.join(waiting)} depend on each other; compile the pipeline again")
        ordered += ready
        for name in ready:
            del waiting[name]
    return tuple(ordered)
