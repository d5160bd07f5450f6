"""`--set key=value`."""

from pathlib import Path

import pytest

from pipeline.config import load_configuration
from pipeline.config.overrides import apply_overrides
from trainer.errors import ConfigurationError


def problem_of(raw: object, override: str) -> str:
    changed, problems = apply_overrides(raw, [override])
    assert changed == raw
    assert len(problems) == 1
    return problems[0]


def test_entry_of_a_nested_list_is_set(config_path: Path) -> None:
    configuration = load_configuration(config_path, ["model.phases.1.learning_rate=1e-5"])
    assert [phase.learning_rate for phase in configuration.model.phases] == [1e-3, 1e-5]


def test_values_are_yaml() -> None:
    overrides = [
        "a=1",
        "b=1e-5",
        "c=true",
        "d=",
        "e=[1, x]",
        "f={g: 2}",
        "h='1'",
        "i= text ",
        "j=no",
        "k=a=b",
    ]
    changed, problems = apply_overrides({}, overrides)
    assert problems == []
    assert changed == {
        "a": 1, "b": 1e-5, "c": True, "d": None, "e": [1, "x"], "f": {"g": 2}, "h": "1", "i": "text", "j": "no",
        "k": "a=b",
    }  # fmt: skip


def test_pattern_needs_no_quotes_of_its_own() -> None:
    assert apply_overrides({}, ["data.pattern=*/*"]) == ({"data": {"pattern": "*/*"}}, [])


def test_later_override_wins() -> None:
    assert apply_overrides({"a": 0}, ["a=1", "a=2"]) == ({"a": 2}, [])


def test_missing_section_is_made() -> None:
    assert apply_overrides({"a": None}, ["a.b.c=1", "d.e=2"]) == ({"a": {"b": {"c": 1}}, "d": {"e": 2}}, [])


def test_places_that_share_an_anchor_are_changed_one_by_one() -> None:
    shared = {"epochs": 1}
    assert apply_overrides({"phases": [shared, shared]}, ["phases.1.epochs=2"]) == (
        {"phases": [{"epochs": 1}, {"epochs": 2}]},
        [],
    )
    assert shared == {"epochs": 1}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a", "--set a: must be key=value, such as model.phases.1.learning_rate=1e-5"),
        ("=1", "--set =1: must be key=value"),
        ("a..b=1", "--set a..b=1: the key 'a..b' has an empty part"),
        ("list.2=1", "list has no entry 2; it has 2 entries, 0 to 1"),
        ("list.-1=1", "list is a list, so '-1' must be the number of an entry, 0 to 1"),
        ("list.first=1", "list is a list, so 'first' must be the number of an entry, 0 to 1"),
        ("one.1=1", "one has no entry 1; it has one entry, 0"),
        ("empty.0=1", "empty has no entry 0; it has none"),
        ("nothing.0=1", "nothing has no entries, so there is no entry 0"),
        ("text.x=1", "text is 'abc', which has no key 'x'"),
        ("a=[1", "--set a=[1: line 1, column"),
    ],
)
def test_override_that_cannot_be_applied_is_told(override: str, message: str) -> None:
    raw = {"list": [1, 2], "one": [1], "empty": [], "nothing": None, "text": "abc"}
    assert message in problem_of(raw, override)


def test_override_of_an_unknown_key_is_told(config_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.sed: no such key; nearest: seed"):
        load_configuration(config_path, ["model.sed=1"])


def test_override_out_of_range_is_told(config_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.phases has no entry 2; it has 2 entries, 0 to 1"):
        load_configuration(config_path, ["model.phases.2.epochs=1"])
