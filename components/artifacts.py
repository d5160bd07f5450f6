"""Artifact types of our own.

Kubeflow asks for names with a namespace, and its TFX compiler for types without properties of their own: what they tell
is in custom properties.
"""

from tfx.types import artifact


class Quarantine(artifact.Artifact):
    """The account of an ingestion: `summary.json`, and `refused.jsonl` with a line per refused file.

    Custom properties: `num_accepted`, `num_refused`.
    """

    TYPE_NAME = "thaw.ImageQuarantine"


class Verdict(artifact.Artifact):
    """The gate's decision: `verdict.json`, its report, the predictions that it rests on, warm-up requests.

    Custom properties: `approved`, `pushes`, `sentence`.
    """

    TYPE_NAME = "thaw.GateVerdict"
