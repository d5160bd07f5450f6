"""What a report shows, as plain values; readable without TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.gate.predictions import ModelName, Predictions
from components.gate.verdict_schema import Verdict

Change = Literal["lost", "gained"]
"""A photograph that the other model alone names rightly, or the candidate alone."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a photograph: the most probable class, and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class ChangedPhotograph:
    """A photograph of the test split on which exactly one of two models is right.

    Attributes:
        path: as ingestion names it.
        label: the true class.
        before: the other model's answer.
        after: the candidate's.
        picture: a small PNG or JPEG; None where it cannot be shown, or the room for pictures is used up.
    """

    path: str
    label: str
    before: Answer
    after: Answer
    picture: bytes | None = None


@dataclass(frozen=True)
class Gallery:
    """Photographs whose answer changed in one direction.

    Attributes:
        other: the model that the candidate is compared with.
        change: the direction.
        num_all: how many there are; `photographs` are the first of them.
        photographs: those whose true class's probability changed most come first.
    """

    other: ModelName
    change: Change
    num_all: int
    photographs: Sequence[ChangedPhotograph]


@dataclass(frozen=True)
class ArtifactFacts:
    """Something that a step of the pipeline has made.

    Attributes:
        name: in words, such as "candidate model".
        artifact_id: in ML Metadata; None where it is not known.
        uri: where it is.
    """

    name: str
    artifact_id: int | None
    uri: str


@dataclass(frozen=True)
class StepFacts:
    """A step of the run: its name, what became of it, and how long it took, in words."""

    name: str
    state: str
    took: str


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run by whoever started it; a component knows nothing of it.

    Attributes:
        run_id: of the run.
        status: such as "pushed".
        started_at: in words.
        took: in words.
        command: that repeats it.
        given_as: the command as it was given.
        configuration: resolved, as YAML.
        configuration_sha256: of that.
        pushed_to: folder of the version; "" where nothing was pushed.
        steps: in order.
    """

    run_id: str
    status: str
    started_at: str
    took: str
    command: str
    given_as: str
    configuration: str
    configuration_sha256: str
    pushed_to: str = ""
    steps: Sequence[StepFacts] = ()


@dataclass(frozen=True)
class Lineage:
    """Where it all comes from.

    Attributes:
        artifacts: what the verdict rests on.
        code_sha256: digest of our code by component.
        run: None in what a component writes.
    """

    artifacts: Sequence[ArtifactFacts] = ()
    code_sha256: Mapping[str, str] = field(default_factory=dict)
    run: RunFacts | None = None


@dataclass(frozen=True)
class ReportContent:
    """All that the page and the model card show.

    Attributes:
        title: such as the name of the configuration; "" where it is not known.
        verdict: the decision.
        predictions: None where they are gone.
        galleries: photographs whose answer changed.
        training: content of `training.json`; empty where it is gone.
        data: content of the quarantine's `summary.json`; empty where it is gone.
        lineage: where it comes from.
    """

    verdict: Verdict
    title: str = ""
    predictions: Predictions | None = None
    galleries: Sequence[Gallery] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)
