"""Pushing what the gate has refused: on somebody's word, and never without a trace."""

import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate import verdict_schema
from components.gate.release import write_release
from components.gate.verdict_schema import Approval, Verdict
from components.gate.warm_up import FILE_NAME
from components.pusher.buckets import OtherFiles
from components.pusher.manifest import Provenance, manifests
from components.pusher.publish import publish
from pipeline.config import Configuration
from pipeline.local_runner import metadata_connection
from pipeline.reports.run_report import content_of
from pipeline.run_record import VERDICT, RunRecord
from trainer.errors import ThawError
from trainer.files import sha256_of

EXECUTION_TYPE = "ThawApproval"
_PROPERTIES = ("who", "when", "why", "run_id", "pushed_to")


def push_refused(record: RunRecord, configuration: Configuration, who: str, why: str) -> Verdict:
    """Publishes the candidate of a refused run, and notes it in ML Metadata and in the verdict.

    Args:
        record: of the run; it has a verdict.
        configuration: that it ran with.
        who: the user.
        why: the reason.

    Returns:
        The verdict with the approval in it, as it is now on the disk, too.

    Raises:
        ThawError: the candidate or the verdict is gone, or the model cannot be published.
    """
    folder = Path(record.uris.get(VERDICT, ""))
    try:
        verdict = verdict_schema.read(folder)
    except OSError:
        raise ThawError(
            f"the verdict of run {record.run_id} is not in {str(folder)!r} any more; run it again"
        ) from None
    infrastructure = configuration.infrastructure
    destination = str(infrastructure.push_destination)
    approval = Approval(who=who, when=datetime.now(UTC), why=why, pushed_to=destination)
    with tempfile.TemporaryDirectory(prefix=".approval-", dir=infrastructure.root) as release:
        content = content_of(record, verdict.model_copy(update={"approval": approval}))
        write_release(verdict.models["candidate"].uri, folder / FILE_NAME, content, "candidate", release)
        publication = publish(release, destination, _manifest(record, configuration, folder))
    approval = approval.model_copy(update={"pushed_to": publication.uri})
    _note(configuration, record, approval)
    approved = verdict.model_copy(update={"approval": approval})
    verdict_schema.write(approved, folder)
    return approved


def _manifest(record: RunRecord, configuration: Configuration, verdict: Path) -> OtherFiles | None:
    server = configuration.model_server
    if server is None:
        return None
    provenance = Provenance(record.run_id, sha256_of(verdict / verdict_schema.FILE_NAME))
    return partial(manifests, server, str(configuration.infrastructure.push_destination), provenance)


def _note(configuration: Configuration, record: RunRecord, approval: Approval) -> None:
    """An execution of its own, with the candidate and the verdict as inputs and the pushed model as output."""
    store = metadata_store.MetadataStore(metadata_connection(configuration))
    inputs = [
        (artifact, mlmd.Event(type=mlmd.Event.INPUT, path=_path(name)))
        for name in ("candidate model", VERDICT)
        for artifact in store.get_artifacts_by_uri(record.uris[name])
    ]
    pushed = mlmd.Artifact(
        type_id=store.put_artifact_type(
            mlmd.ArtifactType(name="PushedModel"), can_add_fields=True, can_omit_fields=True
        ),
        uri=approval.pushed_to,
        state=mlmd.Artifact.LIVE,
    )
    pushed.custom_properties["pushed"].int_value = 1
    pushed.custom_properties["pushed_destination"].string_value = approval.pushed_to
    outputs = [(pushed, mlmd.Event(type=mlmd.Event.OUTPUT, path=_path("pushed_model")))]
    context = store.get_context_by_type_and_name("pipeline", configuration.name)
    store.put_execution(_execution(store, record, approval), [*inputs, *outputs], [context] if context else [])


def _execution(store: metadata_store.MetadataStore, record: RunRecord, approval: Approval) -> mlmd.Execution:
    form = mlmd.ExecutionType(name=EXECUTION_TYPE, properties=dict.fromkeys(_PROPERTIES, mlmd.STRING))
    execution = mlmd.Execution(type_id=store.put_execution_type(form), last_known_state=mlmd.Execution.COMPLETE)
    values = {
        "who": approval.who,
        "when": approval.when.isoformat(),
        "why": approval.why,
        "run_id": record.run_id,
        "pushed_to": approval.pushed_to,
    }
    for name, value in values.items():
        execution.properties[name].string_value = value
    return execution


def _path(key: str) -> mlmd.Event.Path:
    return mlmd.Event.Path(steps=[mlmd.Event.Path.Step(key=key)])
