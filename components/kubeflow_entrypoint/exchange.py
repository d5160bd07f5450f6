"""Between Kubeflow's JSON and what TFX's executors take and leave: artifacts and properties."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from tfx import types
from tfx.types import standard_artifacts
from tfx.types.artifact import PropertyType

from components import artifacts
from components.kubeflow_entrypoint.places import PART, Places, local_path
from trainer.errors import ConfigurationError, ThawError

LOGS = "executor-logs"
"""An output that Kubeflow adds for itself."""

_OWN_TYPES = {kind.TYPE_NAME: kind for kind in (artifacts.Quarantine, artifacts.Verdict)}
_MODEL_IDS = ("current_model_id", "baseline_model_id")

Artifacts = dict[str, list[types.Artifact]]


@dataclass(frozen=True)
class Invocation:
    """What an executor is called with.

    Attributes:
        inputs: artifacts, at their local paths.
        outputs: the same, without Kubeflow's own.
        properties: execution properties.
        output_file: where Kubeflow looks for what the outputs have become.
        places: of the pipeline.
        task_uri: folder in the store for all attempts at this step.
        names: Kubeflow's names of the inputs, by the id that they have here.
    """

    inputs: Artifacts
    outputs: Artifacts
    properties: dict[str, Any]
    output_file: str
    places: Places
    task_uri: str
    names: Mapping[Any, str]


def read_invocation(executor_input: str, inputs_spec: str) -> Invocation:
    """Reads Kubeflow's ExecutorInput.

    Args:
        executor_input: JSON; its input artifacts have no types.
        inputs_spec: JSON of the compiled ComponentInputsSpec, which has them.
    """
    given, spec = json.loads(executor_input), json.loads(inputs_spec)
    outputs = {name: item for name, item in _artifacts(given["outputs"]) if name != LOGS}
    some_uri = next(iter(outputs.values()))["uri"]
    places = Places.around(some_uri)
    expected = spec.get("artifacts", {})
    inputs: Artifacts = {}
    names: dict[int, str] = {}
    for number, (name, item) in enumerate(_artifacts(given.get("inputs", {})), start=1):
        inputs[name] = [_artifact(item, expected[name]["artifactType"], places)]
        inputs[name][0].id = number
        names[number] = item.get("name", "")
    return Invocation(
        inputs=inputs,
        outputs={name: [_artifact(item, item["type"], places)] for name, item in outputs.items()},
        properties=_properties(given.get("inputs", {}).get("parameterValues", {}), spec.get("parameters", {})),
        output_file=given["outputs"]["outputFile"],
        places=places,
        task_uri=some_uri.rsplit("/", 2)[0],
        names=names,
    )


def executor_output(invocation: Invocation) -> str:
    """What the outputs have become: Kubeflow's ExecutorOutput as JSON, which it reads strictly."""
    found = {}
    for name, (artifact,) in invocation.outputs.items():
        metadata = {key: value for key, value in _metadata(artifact, invocation) if value is not None}
        uri = invocation.places.to_store(artifact.uri)
        found[name] = {"artifacts": [{"name": name, "uri": uri, "metadata": metadata}]}
    return json.dumps({"artifacts": found}, allow_nan=False)


def _artifacts(side: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, listed in side.get("artifacts", {}).items():
        if listed.get("artifacts"):
            yield name, listed["artifacts"][0]


def _artifact(item: Mapping[str, Any], schema: Mapping[str, Any], places: Places) -> types.Artifact:
    artifact = _type(schema)()
    artifact.uri = local_path(item["uri"])
    for key, value in (item.get("metadata") or {}).items():
        if value is not None:
            _set(artifact, key, places.to_local(value))
    return artifact


def _type(schema: Mapping[str, Any]) -> type[types.Artifact]:
    title = schema.get("schemaTitle") or yaml.safe_load(schema.get("instanceSchema") or "{}").get("title", "")
    kind = _OWN_TYPES.get(title) or getattr(standard_artifacts, title.removeprefix("tfx."), None)
    if kind is None:
        raise ThawError(f"there is no artifact type {title!r}; was the pipeline compiled with another version of thaw?")
    return kind


def _set(artifact: types.Artifact, key: str, value: Any) -> None:
    """JSON knows one kind of number; what is whole becomes an integer, as it was."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    declared = (artifact.PROPERTIES or {}).get(key)
    if declared is not None:
        setattr(artifact, key, float(value) if declared.type == PropertyType.FLOAT else value)
    elif isinstance(value, str):
        artifact.set_string_custom_property(key, value)
    elif isinstance(value, int) and not isinstance(value, bool):
        artifact.set_int_custom_property(key, value)
    elif isinstance(value, float):
        artifact.set_float_custom_property(key, value)
    else:
        artifact.set_json_value_custom_property(key, value)


def _metadata(artifact: types.Artifact, invocation: Invocation) -> Iterator[tuple[str, Any]]:
    message = artifact.mlmd_artifact
    for key, value in {**message.properties, **message.custom_properties}.items():
        kind = value.WhichOneof("value")
        plain = (
            artifact.get_json_value_custom_property(key) if kind == "struct_value" else getattr(value, kind or "", None)
        )
        if key in _MODEL_IDS:
            plain = invocation.names.get(plain)
        if isinstance(plain, float) and not math.isfinite(plain):
            plain = str(plain)
        yield key, invocation.places.to_store(plain)


def _properties(values: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: value for name, value in values.items() if PART in name}
    properties = {name: _typed(value, spec.get(name, {})) for name, value in values.items() if name not in parts}
    for name, value in parts.items():
        whole, key = name.split(PART)
        if value != "":
            content = json.loads(properties[whole])
            properties[whole] = json.dumps({**content, key: _json_or_text(value)})
    return properties


def _typed(value: Any, spec: Mapping[str, Any]) -> Any:
    if spec.get("parameterType") != "NUMBER_INTEGER":
        return value
    if value != int(value):
        raise ConfigurationError(f"a whole number is wanted, and {value!r} given")
    return int(value)


def _json_or_text(value: str) -> Any:
    """Text is itself; a number or a mapping such as {"last": 7} is what it says."""
    try:
        return json.loads(value)
    except ValueError:
        return value
