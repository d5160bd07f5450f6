"""The published form of a verdict."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from components.gate import verdict_schema
from components.gate.predictions import (
    ModelPredictions,
    Predictions,
    TestExamples,
    read_predictions,
    write_predictions,
)
from components.gate.settings import GateSettings
from components.gate.verdict_schema import Verdict
from trainer.errors import ThawError

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "tests" / "verdict_example.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    published = (REPOSITORY / "docs" / "verdict.schema.json").read_text("utf-8")
    assert published == verdict_schema.schema_text(), (
        "python -m components.gate.verdict_schema > docs/verdict.schema.json"
    )


def test_the_example_is_a_verdict_and_every_part_of_the_form_occurs_in_it() -> None:
    found = Verdict.model_validate_json(EXAMPLE.read_bytes())
    content = json.loads(EXAMPLE.read_text("utf-8"))
    assert content == json.loads(found.model_dump_json()), "nothing is left out, nothing is added"
    assert not [key for key, value in content.items() if value in (None, [], {}) and key != "approval"]
    assert {rule.kind for rule in found.rules} == set(
        verdict_schema.RuleOutcome.model_fields["kind"].annotation.__args__
    )  # type: ignore[union-attr]


def test_a_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Verdict.model_validate_json(EXAMPLE.read_bytes())
    verdict_schema.write(written, tmp_path)
    assert verdict_schema.read(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]


def test_a_label_of_bytes_that_are_no_text_can_be_written() -> None:
    label = b"caf\xe9".decode(errors="surrogateescape")
    assert json.loads(json.dumps(verdict_schema.readable(label)).encode("ascii")) == "caf\\xe9"
    assert verdict_schema.readable("zéro") == "zéro"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"floors": {}}, "there are no floors"),
        ({"floors": {"accuracy": 1.1}}, "lies between 0 and 1"),
        ({"floors": {"acuracy": 0.9}}, "acuracy"),
        ({"min_gain": None}, "nothing would be asked"),
        ({"min_gain": -0.1}, "greater than or equal to 0"),
        ({"min_gain": float("nan")}, "finite"),
        ({"alpha": 0.5}, "less than 0.5"),
        ({"production_margins": {}}, "at least 1"),
        ({"first_push": "maybe"}, "require_floor"),
        ({"top_k": 1}, "greater than or equal to 2"),
        ({"floor": 0.5}, "Extra inputs"),
    ],
)
def test_rules_that_make_no_sense_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GateSettings.model_validate({"floors": {"accuracy": 0.9}, **changes})


def test_predictions_are_read_as_they_were_written_odd_file_names_included(tmp_path: Path) -> None:
    odd = b"zero/caf\xe9.png".decode(errors="surrogateescape")
    examples = TestExamples(["zéro", "two"], [odd, "two/ü.png"], ["a", "b"], {"camera": ["x", "y"]})
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    models = {"candidate": ModelPredictions(("zéro", "two"), scores), "baseline": ModelPredictions(("two",), scores)}
    write_predictions(Predictions(examples, models), tmp_path)  # type: ignore[arg-type]
    found = read_predictions(tmp_path)
    assert found.examples == examples
    assert found.models.keys() == models.keys()
    assert found.models["baseline"].labels == ("two",)
    np.testing.assert_array_equal(found.models["candidate"].scores, scores)


def test_missing_predictions_are_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match="cannot be read"):
        read_predictions(tmp_path)
