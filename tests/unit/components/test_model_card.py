"""The card that goes with a pushed model."""

import dataclasses
from pathlib import Path

import pytest

from components.gate.report.content import Lineage
from components.gate.report.model_card import FILE_NAME, in_markdown, model_card, write_model_card
from tests.unit.components.gate_material import LABELS
from tests.unit.components.gate_pages import EVIL, approval, content_of, lineage, renamed, three_classes


def test_a_card_says_what_it_is_trained_on_measured_by_and_made_from(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6), tmp_path)
    card = model_card(content, "candidate")
    for words in (
        "# Model card: shapes",
        content.verdict.sentence,
        "- circles\n- crosses\n",
        "Backbone MobileNetV2 at 160 × 160 pixels, weights imagenet.h5 (sha256 feed)",
        "Phase 2, fine\\_tune: trains the head, and 2 layers in block2; 9,000 of 10,000 parameters",
        "1,000 of 1,003 photographs were taken in: train 600, eval 0, test 300",
        "| accuracy | 0.9000 | 0.8678 … 0.9250 |",
        "On 300 test images that it was not trained on, with 90% intervals",
        "the smallest class has\n  100.",
        "would pass the rule with 80% probability",
        "| this model: graph, weights and labels | candidate |",
        "| code of Gate | abcdef0123 |",
    ):
        assert words in card, words


def test_intended_use_is_left_to_the_owner_and_not_invented(tmp_path: Path) -> None:
    card = model_card(content_of(three_classes(0.9, 0.6), tmp_path), "candidate")
    section = card.partition("## What it is meant for")[2].partition("##")[0]
    assert section.strip().startswith("*To be written by its owner.*")


def test_a_card_of_the_frozen_baseline_has_its_own_figures(tmp_path: Path) -> None:
    card = model_card(content_of(three_classes(0.5, 0.8), tmp_path), "baseline")
    assert "the frozen baseline model of a run" in card and "| accuracy | 0.8000 |" in card
    assert "It is the model at the end of head, without what comes after" in card
    assert "| this model: graph, weights and labels | baseline |" in card


def test_a_model_that_was_refused_and_pushed_says_so_on_its_card(tmp_path: Path) -> None:
    content = content_of(three_classes(0.5, 0.8), tmp_path)
    verdict = content.verdict.model_copy(update={"approval": approval("a *bold* reason")})
    card = model_card(dataclasses.replace(content, verdict=verdict), "candidate")
    assert "**The gate refused it. It was pushed all the same** by night shift on 2026-11-22 03:04 UTC" in card
    assert "a \\*bold\\* reason" in card


def test_the_same_model_has_the_same_card_whatever_run_and_machine_it_came_from(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6), tmp_path)
    elsewhere = dataclasses.replace(
        content.lineage,
        artifacts=(),
        run=dataclasses.replace(lineage().run, run_id="another"),  # type: ignore[type-var]
    )
    assert model_card(content, "candidate") == model_card(dataclasses.replace(content, lineage=elsewhere), "candidate")
    assert "/" not in model_card(dataclasses.replace(content, lineage=Lineage()), "candidate").replace("w/", "")


def test_a_card_is_written_though_nothing_but_the_verdict_is_known(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6), tmp_path, training={}, data={})
    write_model_card(content, "candidate", tmp_path / "assets.extra")
    card = (tmp_path / "assets.extra" / FILE_NAME).read_text("utf-8")
    assert "| accuracy | 0.9000 |" in card and "Phase" not in card


def test_a_class_name_is_not_taken_for_a_mark(tmp_path: Path) -> None:
    content = content_of(renamed(three_classes(0.9, 0.6), {LABELS[0]: EVIL, LABELS[1]: "a|b"}), tmp_path)
    card = model_card(content, "candidate")
    assert "<script" not in card.replace("\\<", "") and "\\<script\\>" in card
    assert "| a\\|b | 100 |" in card


@pytest.mark.parametrize(("text", "written"), [("a_b", "a\\_b"), ("[x](y)", "\\[x\\](y)"), ("a\nb", "a\ufffdb")])
def test_marks_are_escaped(text: str, written: str) -> None:
    assert in_markdown(text) == written
