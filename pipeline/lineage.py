"""Reads from ML Metadata what the components of a run have put out."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

_RUN_CONTEXT = "pipeline_run"
_NODE_CONTEXT = "node"
_OUTPUT_EVENTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.INTERNAL_OUTPUT)


@dataclass(frozen=True)
class StepOutputs:
    """What one component of a run put out.

    Attributes:
        is_reused: whether nothing new was made.
        uris: place of each output, by its key.
        ids: of each output in the metadata, by its key.
        properties: custom properties of each output, by its key.
        code_sha256: digest of our code behind the component; None where it has none.
    """

    is_reused: bool
    uris: dict[str, str]
    ids: dict[str, int]
    properties: dict[str, dict[str, str | int | float]]
    code_sha256: str | None = None


def read_outputs(connection: metadata_store_pb2.ConnectionConfig, run_id: str) -> dict[str, StepOutputs]:
    """The outputs of every component that has ended in a run, by the component's name; empty for an unknown run."""
    store = metadata_store.MetadataStore(connection)
    try:
        context = store.get_context_by_type_and_name(_RUN_CONTEXT, run_id)
    except errors.NotFoundError:
        context = None
    executions = store.get_executions_by_context(context.id) if context else []
    return {_node_name(store, execution): _outputs_of(store, execution) for execution in executions}


def _node_name(store: metadata_store.MetadataStore, execution: metadata_store_pb2.Execution) -> str:
    nodes = [context for context in store.get_contexts_by_execution(execution.id) if context.type == _NODE_CONTEXT]
    return str(nodes[0].name.rsplit(".", maxsplit=1)[-1])


def _outputs_of(store: metadata_store.MetadataStore, execution: metadata_store_pb2.Execution) -> StepOutputs:
    events = [event for event in store.get_events_by_execution_ids([execution.id]) if event.type in _OUTPUT_EVENTS]
    artifacts = {artifact.id: artifact for artifact in _artifacts(store, (event.artifact_id for event in events))}
    by_key = {event.path.steps[0].key: artifacts[event.artifact_id] for event in events}
    properties = {key: _values(artifact.custom_properties) for key, artifact in by_key.items()}
    is_cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
    # Pusher always runs; where it found its model published already, it has made nothing new.
    is_published_before = properties.get("pushed_model", {}).get("is_new_version") == 0
    return StepOutputs(
        is_reused=is_cached or is_published_before,
        uris={key: artifact.uri for key, artifact in by_key.items()},
        ids={key: artifact.id for key, artifact in by_key.items()},
        properties=properties,
        code_sha256=_code_digest(_values(execution.custom_properties)),
    )


def _code_digest(properties: dict[str, str | int | float]) -> str | None:
    """A property of its own; Transform's, which is TFX's, has it within its custom configuration."""
    custom = json.loads(str(properties.get("custom_config") or "null")) or {}
    found = properties.get("code_digest") or custom.get("code_digest")
    return str(found) if found else None


def _artifacts(store: metadata_store.MetadataStore, ids: Iterable[int]) -> list[metadata_store_pb2.Artifact]:
    wanted = list(ids)
    return list(store.get_artifacts_by_id(wanted)) if wanted else []


def _values(properties: object) -> dict[str, str | int | float]:
    return {key: getattr(value, value.WhichOneof("value")) for key, value in dict(properties).items()}  # type: ignore[call-overload]
