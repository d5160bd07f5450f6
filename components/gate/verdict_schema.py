"""The decision of the gate as data: `verdict.json`, whose JSON Schema is `docs/verdict.schema.json`.

Readable without numpy and TensorFlow: the command line shows it.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from components.gate.example_weights import ExampleWeights
from components.gate.settings import GateSettings
from components.gate.verdict_parts import (
    Approval,
    ClassRow,
    Gain,
    Interval,
    Latency,
    McNemar,
    MetricRow,
    ModelFacts,
    Outcome,
    Power,
    RuleKind,
    RuleOutcome,
    Subject,
    SubsetRow,
)
from trainer.files import flush
from trainer.settings import Settings

__all__ = [
    "FILE_NAME",
    "Approval",
    "ClassRow",
    "Gain",
    "Interval",
    "Latency",
    "McNemar",
    "MetricRow",
    "ModelFacts",
    "Outcome",
    "Power",
    "RuleKind",
    "RuleOutcome",
    "Subject",
    "SubsetRow",
    "Verdict",
    "json_schema",
    "read",
    "readable",
    "schema_text",
    "write",
]

FILE_NAME = "verdict.json"


class Verdict(Settings):
    """Whether the candidate may be pushed, and why.

    Attributes:
        schema_version: of this form.
        approved: whether the candidate passed: the conjunction of all rules.
        pushes: what Pusher may push.
        sentence: the verdict in one sentence.
        rules: every rule's outcome.
        warnings: what the reader should know beside them.
        metrics: the models side by side.
        class_metrics: the same for each class, in the order of the scores.
        slices: the same for the values of features.
        mcnemar_baseline: the examples on which candidate and baseline differ.
        mcnemar_production: the same for the production model.
        power: what the test set could have shown; None where no gain is asked for.
        num_test_examples: how many examples all this was computed on.
        example_weights: by which they count; None where all count alike.
        num_shared_examples: how many of them are of classes that candidate and production share; None without one.
        shared_labels: these classes; None without a production model.
        models: "candidate", "baseline" and, where there is one, "production".
        settings: the rules as they were configured.
        approval: who pushed it all the same; None otherwise.
    """

    schema_version: Literal[1] = 1
    approved: bool
    pushes: Literal["candidate", "baseline", "nothing"]
    sentence: str
    rules: Annotated[tuple[RuleOutcome, ...], Field(strict=False)]
    warnings: Annotated[tuple[str, ...], Field(strict=False)] = ()
    metrics: Annotated[tuple[MetricRow, ...], Field(strict=False)]
    class_metrics: Annotated[tuple[ClassRow, ...], Field(strict=False)] = ()
    slices: Annotated[tuple[SubsetRow, ...], Field(strict=False)] = ()
    mcnemar_baseline: McNemar | None = None
    mcnemar_production: McNemar | None = None
    power: Power | None = None
    num_test_examples: int
    example_weights: ExampleWeights | None = None
    num_shared_examples: int | None = None
    shared_labels: Annotated[tuple[str, ...] | None, Field(strict=False)] = None
    models: dict[Literal["candidate", "baseline", "production"], ModelFacts]
    settings: GateSettings
    approval: Approval | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """What each rule found, in words."""
        return tuple(rule.words for rule in self.rules)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `verdict.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Verdict.model_json_schema(mode="serialization"),
    }


def schema_text() -> str:
    """The published file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def write(verdict: Verdict, folder: str | Path) -> None:
    """Writes `verdict` into `folder`, whole or not at all."""
    path = Path(folder) / FILE_NAME
    temporary = path.with_name(f".{FILE_NAME}.{os.getpid()}")
    temporary.write_text(verdict.model_dump_json(indent=2) + "\n", encoding="utf-8")
    flush(temporary)
    temporary.replace(path)


def readable(label: str) -> str:
    """A label as JSON can hold it: bytes of a file name that are not UTF-8 become `\\xe9`."""
    return label.encode(errors="surrogateescape").decode(errors="backslashreplace")


def read(folder: str | Path) -> Verdict:
    """Reads the verdict in a folder.

    Raises:
        OSError: the folder holds none.
    """
    return Verdict.model_validate_json((Path(folder) / FILE_NAME).read_bytes())


if __name__ == "__main__":
    print(schema_text(), end="")
