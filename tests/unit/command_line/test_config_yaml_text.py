"""How scalars of a configuration file are read."""

import math
from typing import Any

import pytest

from pipeline.config.yaml_text import dump, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E+3", 1000.0),
        ("2e3", 2000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("010", 10),
        ("+7", 7),
        ("0o17", 15),
        ("0x1f", 31),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-11-22", "2026-11-22"),
        ("no", "no"),
        ("on", "on"),
        ("none", "none"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
    ],
)
def test_scalars_are_read_as_in_yaml_1_2(text: str, value: Any) -> None:
    read = parse(f"key: {text}")["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "value",
    ["1e-5", "no", "010", "null", "~", "true", "2026-11-22", "12:30", "", " a ", "*/*", "ü", 1e-5, 3, None],
)
def test_what_is_dumped_reads_back_the_same(value: Any) -> None:
    assert parse(dump({"key": value})) == {"key": value}


def test_merge_keys_work() -> None:
    assert parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")["b"] == {"x": 1, "y": 3}


def test_merged_key_may_be_given_again_deeper_down() -> None:
    text = "deep: {deeper: {base: &b {x: 1}, more: &m {<<: *b, x: 2}}}\ntop: {<<: *m, x: 3}\n"
    assert parse(text) == {"deep": {"deeper": {"base": {"x": 1}, "more": {"x": 2}}}, "top": {"x": 3}}
