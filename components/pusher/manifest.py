"""The InferenceService that serves one pushed version, and no other.

TensorFlow Serving looks for numbered folders below /mnt/models and takes the highest. So its pod is given one of them,
at /mnt/models/NUMBER. Which way was read in KServe 0.20: of `storageUris` it downloads a bucket's objects to a mount
path, but of a claim it would mount all, whatever the path; so a claim is mounted as in any pod, with a sub-path.
"""

from dataclasses import dataclass
from typing import Any

import yaml

from components.kubernetes import OnClaim
from components.pusher.serving import ModelServer, ServingSettings
from components.release_names import EXTRA_ASSETS, MANIFEST

FILE = f"{EXTRA_ASSETS}/{MANIFEST}"
"""Within the folder of a version."""

MODELS = "/mnt/models"
"""Where KServe's runtime has TensorFlow Serving look."""

VERSION, SOURCE = "thaw/model-version", "thaw/model-uri"
RUN, VERDICT = "thaw/run", "thaw/verdict-sha256"
_GPU = "nvidia.com/gpu"
_VOLUME = "model"


@dataclass(frozen=True)
class Provenance:
    """Where a version comes from.

    Attributes:
        run: id of the run that pushed it; "" where it is not known.
        verdict_sha256: hex digest of the `verdict.json` of its gate; "" where it is not known.
    """

    run: str = ""
    verdict_sha256: str = ""


def manifest(server: ModelServer, destination: str, version: str, provenance: Provenance) -> str:
    """The manifest of a version as YAML, for `kubectl apply`.

    Args:
        server: how it is served.
        destination: folder of the versions, as Pusher sees it, or its place in a bucket.
        version: number.
        provenance: where it comes from.

    Raises:
        ThawError: a model server cannot reach the destination.
    """
    source = server.source_of(destination)
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": _metadata(server, source, version, provenance),
        "spec": {"predictor": _predictor(server.settings, source, version)},
    }
    text: str = yaml.safe_dump(service, sort_keys=False, allow_unicode=True, width=120)
    return text


def manifests(server: ModelServer, destination: str, provenance: Provenance, version: str) -> dict[str, str]:
    """The files that a version has beside its model: the manifest, by its path."""
    return {FILE: manifest(server, destination, version, provenance)}


def provenance_in(text: str) -> Provenance:
    """What a manifest says of where its version comes from; nothing where it is none of ours."""
    try:
        annotations = yaml.safe_load(text)["metadata"]["annotations"]
        return Provenance(str(annotations.get(RUN, "")), str(annotations.get(VERDICT, "")))
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        return Provenance()


def _metadata(server: ModelServer, source: OnClaim | str, version: str, provenance: Provenance) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": server.name}
    if server.settings.namespace is not None:
        metadata["namespace"] = server.settings.namespace
    uri = source.uri if isinstance(source, OnClaim) else source
    told = {VERSION: version, SOURCE: f"{uri}/{version}", RUN: provenance.run, VERDICT: provenance.verdict_sha256}
    return {
        **metadata,
        "labels": {"app.kubernetes.io/part-of": "thaw", VERSION: version},
        "annotations": {
            "serving.kserve.io/deploymentMode": "Standard",
            **{key: value for key, value in told.items() if value},
        },
    }


def _predictor(settings: ServingSettings, source: OnClaim | str, version: str) -> dict[str, Any]:
    predictor: dict[str, Any] = {"minReplicas": settings.min_replicas}
    if settings.max_replicas is not None:
        predictor["maxReplicas"] = settings.max_replicas
    if settings.service_account is not None:
        predictor["serviceAccountName"] = settings.service_account
    place = f"{MODELS}/{version}"
    model = _model(settings)
    if isinstance(source, OnClaim):
        claim = {"name": _VOLUME, "persistentVolumeClaim": {"claimName": source.claim}}
        sub_path = f"{source.path}/{version}".lstrip("/")
        mount = {"name": _VOLUME, "mountPath": place, "subPath": sub_path, "readOnly": True}
        return {**predictor, "volumes": [claim], "model": {**model, "volumeMounts": [mount]}}
    # The slash at the end matters: without it KServe would fetch version 30 along with version 3.
    return {**predictor, "storageUris": [{"uri": f"{source}/{version}/", "mountPath": place}], "model": model}


def _model(settings: ServingSettings) -> dict[str, Any]:
    model: dict[str, Any] = {
        "modelFormat": {"name": "tensorflow"},
        "protocolVersion": "v1",
        "runtime": settings.runtime,
    }
    if settings.runtime_version is not None:
        model["runtimeVersion"] = settings.runtime_version + ("-gpu" if settings.gpus else "")
    if settings.arguments:
        model["args"] = list(settings.arguments)
    resources = {
        "cpu": settings.cpu,
        "memory": settings.memory,
        **({_GPU: str(settings.gpus)} if settings.gpus else {}),
    }
    return {**model, "resources": {"requests": resources, "limits": dict(resources)}}
