"""What a submission may change without compiling again: the parameters of a compiled pipeline.

TFX compiles the properties of components as constants. Those that follow from the configuration become parameters of
the pipeline, with what they were as defaults. So whatever a `--set` changes, short of the graph and its pods, is a
matter of other arguments; and Kubeflow's cache, which sees arguments, notices.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.kubeflow_entrypoint.places import PART
from trainer.errors import ConfigurationError

Spec = dict[str, Any]


@dataclass(frozen=True)
class _Parameter:
    name: str
    places: tuple[tuple[str, str], ...]
    description: str


_PARAMETERS = (
    _Parameter("data", (("ImageExampleGen", "settings"),), "The section data of the configuration, as JSON."),
    _Parameter("transform", (("Transform", "custom_config"),), "How photographs become training data, as JSON."),
    _Parameter("model", (("FineTuner", "model_settings"),), "The section model of the configuration, as JSON."),
    _Parameter("evaluation", (("Evaluator", "evaluation_settings"),), "What TFMA is asked for, as JSON."),
    _Parameter("gate", (("Gate", "gate_settings"),), "The section gate of the configuration, as JSON."),
    _Parameter(
        "push_destination",
        (("FineTuner", "push_destination"), ("Gate", "push_destination"), ("Pusher", "push_destination")),
        "Where versions are pushed, and the production model is found.",
    ),
)
_PARTS = {
    "images": "The photographs: a path in the container, or a place in a bucket.",
    "pattern": "Which files are photographs, below images; empty for what data says.",
    "span": 'latest, a number or date, or {"last": 7}; empty for what data says.',
}


def promote(spec: Spec) -> None:
    """Makes parameters of the constants that follow from the configuration, in place."""
    for parameter in _PARAMETERS:
        places = [place for place in parameter.places if _has(spec, *place)]
        (default,) = {_constant(spec, *place) for place in places}
        if parameter.name == "data":
            default = _promote_parts(spec, json.loads(default))
        for task, name in places:
            _connect(spec, task, name, parameter.name)
        _define(spec, parameter.name, default, parameter.description)


def defaults(spec: Spec) -> dict[str, str]:
    """The parameters of a compiled pipeline, with what they are where a submission says nothing."""
    return {name: item["defaultValue"] for name, item in spec["root"]["inputDefinitions"]["parameters"].items()}


def arguments(uploaded: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, str]:
    """What to submit to a pipeline so that it does what another one would do.

    Args:
        uploaded: specification of the pipeline that is there.
        wanted: specification of the configuration that is to be run.

    Returns:
        The parameters that differ, with their values.

    Raises:
        ConfigurationError: they differ in more than parameters.
    """
    if _without_defaults(uploaded) != _without_defaults(wanted):
        raise ConfigurationError(
            "what was changed is part of the compiled pipeline: its steps, their pods or thaw itself; "
            "`thaw compile` it again and upload the new version"
        )
    before = defaults(dict(uploaded))
    return {name: value for name, value in defaults(dict(wanted)).items() if before[name] != value}


def _has(spec: Spec, task: str, name: str) -> bool:
    return name in spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"]


def _constant(spec: Spec, task: str, name: str) -> str:
    return str(spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"][name]["runtimeValue"]["constant"])


def _promote_parts(spec: Spec, settings: Spec) -> str:
    """What people change most becomes a parameter of its own; returns the rest."""
    for name, description in _PARTS.items():
        value = settings.pop(name, "")
        _connect(spec, "ImageExampleGen", f"settings{PART}{name}", name)
        _define(spec, name, value if isinstance(value, str) else json.dumps(value), description)
    return json.dumps(settings, ensure_ascii=False)


def _connect(spec: Spec, task: str, name: str, parameter: str) -> None:
    inputs = spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"]
    inputs[name] = {"componentInputParameter": parameter}
    spec["components"][task]["inputDefinitions"]["parameters"].setdefault(name, {"parameterType": "STRING"})


def _define(spec: Spec, name: str, default: str, description: str) -> None:
    definitions = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    definitions[name] = {
        "parameterType": "STRING",
        "defaultValue": default,
        "isOptional": True,
        "description": description,
    }


def _without_defaults(spec: Mapping[str, Any]) -> Spec:
    result = copy.deepcopy(dict(spec))
    for item in result["root"]["inputDefinitions"]["parameters"].values():
        del item["defaultValue"]
    return result
