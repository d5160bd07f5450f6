"""Artifact types of our own."""

from tfx.types import artifact


class Quarantine(artifact.Artifact):
    """The account of an ingestion: `summary.json`, and `refused.jsonl` with a line per refused file."""

    TYPE_NAME = "ImageQuarantine"
    PROPERTIES = {
        "num_accepted": artifact.Property(type=artifact.PropertyType.INT),
        "num_refused": artifact.Property(type=artifact.PropertyType.INT),
    }


class Verdict(artifact.Artifact):
    """The gate's decision: `verdict.json`, its report, the predictions that it rests on, warm-up requests."""

    TYPE_NAME = "GateVerdict"
    PROPERTIES = {
        "approved": artifact.Property(type=artifact.PropertyType.INT),
        "sentence": artifact.Property(type=artifact.PropertyType.STRING),
    }
