"""What the gate of a run decided: from the artifact store, or, where that cannot be read, from the gate's log."""

import fnmatch
import json
import re
from dataclasses import dataclass
from typing import Any

from components.gate.announcement import MARK
from components.gate.verdict_schema import FILE_NAME, Verdict
from pipeline.kubeflow.progress import RunProgress
from trainer.errors import ThawError

GATE = "Gate"
DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
"""Where Kubeflow Pipelines keeps artifacts if neither a run nor the namespace says otherwise."""

_SCHEMES = {"s3": "s3", "minio": "s3", "gs": "gs"}


@dataclass(frozen=True)
class Outcome:
    """A verdict from afar.

    Attributes:
        approved: whether the fine-tuned model may be pushed.
        sentence: the verdict in words.
        verdict: all of it; None where only the log could be read.
        source: where it was found.
    """

    approved: bool
    sentence: str
    verdict: Verdict | None
    source: str


def outcome_of(client: Any, progress: RunProgress, root: str | None = None) -> Outcome:
    """The gate's decision.

    Args:
        client: see `connected`.
        progress: of a run that has succeeded.
        root: URL of the artifact store, if neither the run nor Kubeflow's default says it.

    Raises:
        ThawError: neither the store nor the log could be read; the message has both reasons.
    """
    place = root or progress.pipeline_root or DEFAULT_ROOT
    try:
        return _from_store(place, progress)
    except Exception as error:  # each store has its own kinds
        reason = f"{place}: {_first_line(error)}"
    try:
        return _from_log(client, progress)
    except Exception as error:
        raise ThawError(
            f"run {progress.run_id} has succeeded, but its verdict cannot be read ({reason}; the gate's log: "
            f"{_first_line(error)}); set AWS_ENDPOINT_URL and the store's credentials in the environment, or --root"
        ) from error


def _from_store(root: str, progress: RunProgress) -> Outcome:
    import fsspec

    scheme, _, path = root.partition("?")[0].rstrip("/").partition("://")
    if scheme not in _SCHEMES:
        raise ThawError(f"cannot read {scheme}://, but s3://, gs:// and minio://")
    store = fsspec.filesystem(_SCHEMES[scheme], use_listings_cache=False)
    gate = f"{path}/{progress.pipeline_name}/{progress.run_id}/{GATE}"
    # A retried step writes into a folder of its own; what was written last is the run's.
    found = {
        name: info
        for name, info in store.find(gate, detail=True).items()
        if fnmatch.fnmatch(name, f"{gate}/*/verdict/{FILE_NAME}")
    }
    if not found:
        raise ThawError(f"there is no {FILE_NAME} below {gate}")
    name = max(found, key=lambda name: (str(found[name].get("LastModified") or found[name].get("updated")), name))
    verdict = Verdict.model_validate_json(store.cat_file(name))
    return Outcome(verdict.approved, verdict.sentence, verdict, f"{scheme}://{name}")


def _from_log(client: Any, progress: RunProgress) -> Outcome:
    pod = next((step.pod for step in progress.steps if step.name == GATE), None)
    if pod is None:
        raise ThawError("the run shows no container of the gate")
    text = client.read_log(progress.run_id, pod)
    lines = re.findall(rf"{re.escape(MARK)} (\{{.*\}})\s*$", text, flags=re.MULTILINE)
    if not lines:
        raise ThawError(f"the log of {pod} has no line {MARK!r}")
    said = json.loads(lines[-1])
    return Outcome(bool(said["approved"]), str(said["sentence"]), None, f"the log of {pod}")


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{text or type(error).__name__}"[:200]
