"""What the report says, and that it says it whatever became of a model."""

import html
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.gate.predictions import ModelPredictions, Predictions
from components.gate.report import galleries, tables
from components.gate.report.answers import NO_ANSWER, answers_of
from components.gate.report.galleries import read_galleries, small_file, write_galleries
from components.gate.report.matrices import MOST_CLASSES, OTHERS, Matrix, counts_of, matrices_of
from components.gate.report.page import page
from components.gate.report.reading import read_content
from components.gate.report.reliability import bins_of
from components.gate.report.training import epoch_rows, training_plots
from components.gate.statistics.metrics import Answers, value_of
from tests.unit.components.gate_material import LABELS, predictions_of, scores_of
from tests.unit.components.gate_pages import (
    EVIL,
    approval,
    content_of,
    lineage,
    many_classes,
    picture_of,
    read_pictures,
    renamed,
    three_classes,
    training,
)


def text_of(page_text: str) -> str:
    """What a reader sees of a page, in one line."""
    body = re.sub(r"<style>.*?</style>", "", page_text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def heading_of(page_text: str) -> str:
    return text_of(re.search(r"<h1>.*?</h1>", page_text, re.DOTALL)[0])


def test_the_verdict_sentence_comes_before_everything_else(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6), tmp_path)
    seen = text_of(page(content))
    assert content.verdict.approved
    assert seen.index(content.verdict.sentence) < seen.index("Rules")
    assert heading_of(page(content)) == "✓ Passed"


def test_the_heading_says_what_became_of_the_model(tmp_path: Path) -> None:
    good = content_of(three_classes(0.9, 0.6), tmp_path / "good", lineage=lineage(pushed_to="/serving/shapes/3"))
    assert heading_of(page(good)) == "✓ Pushed" and "pushed to /serving/shapes/3" in text_of(page(good))
    bad = content_of(three_classes(0.4, 0.8), tmp_path / "bad")
    assert not bad.verdict.approved and heading_of(page(bad)) == "■ Refused"


def test_an_approval_says_who_when_and_why(tmp_path: Path) -> None:
    content = content_of(three_classes(0.4, 0.8), tmp_path)
    verdict = content.verdict.model_copy(update={"approval": approval(f"because {EVIL}")})
    text = page(content_of(three_classes(0.4, 0.8), tmp_path, verdict=verdict))
    assert heading_of(text) == "■ Refused, and pushed all the same"
    assert "by night shift on 2026-11-22 03:04 UTC" in text_of(text) and html.escape(EVIL, quote=False)[:20] in text


def test_every_rule_is_listed_with_value_interval_threshold_and_outcome(tmp_path: Path) -> None:
    content = content_of(three_classes(0.62, 0.6, num_examples=90), tmp_path)
    rows = tables.rule_rows(content.verdict.rules)
    assert len(rows) == len(content.verdict.rules)
    assert {row.outcome for row in rows} == {"passed", "cannot be told"}
    seen = text_of(page(content))
    for rule in content.verdict.rules:
        assert rule.words[1:] in seen
    gain = next(row for row in rows if row.kind == "baseline")
    assert (gain.value, gain.threshold) == ("+0.0222", "+0.0000") and "…" in gain.interval
    assert gain.refuses and rows[0] is gain, "what refuses comes first"
    assert [row.kind == "class" for row in rows] == sorted(row.kind == "class" for row in rows)


def test_metrics_show_all_models_with_intervals_and_gains(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6, production=0.85), tmp_path)
    accuracy = tables.metric_lines(content.verdict)[0]
    assert (accuracy.candidate.value, accuracy.baseline.value) == ("0.9000", "0.6000")
    assert accuracy.gain.value == "+0.3000" and accuracy.production is not None
    assert accuracy.gain_over_production is not None and accuracy.gain_over_production.interval
    first_push = content_of(three_classes(0.9, 0.6), tmp_path / "first")
    assert tables.metric_lines(first_push.verdict)[0].production is None
    assert "There is no production model yet" in text_of(page(first_push))


def test_intervals_are_cut_where_a_metric_cannot_be(tmp_path: Path) -> None:
    row = content_of(three_classes(0.9, 0.6), tmp_path).verdict.metrics[2]
    assert row.metric == "log_loss" and row.candidate_interval is not None
    wide = row.model_copy(update={"candidate_interval": row.candidate_interval.model_copy(update={"low": -0.1})})
    assert tables.bounds(tables.within_range(wide, "candidate_interval")).startswith("0.0000 …")


def test_a_confusion_matrix_counts_every_image_and_the_difference_is_one(tmp_path: Path) -> None:
    predictions = three_classes(0.9, 0.6)
    answers = answers_of(predictions)
    found = matrices_of(answers, {"baseline": "frozen", "candidate": "tuned"})
    baseline, candidate, difference = ([[cell.text for cell in row.cells] for row in m.rows] for m in found.matrices)
    assert sum(int(text) for row in candidate for text in row) == 300
    for ours, theirs, change in zip(candidate, baseline, difference, strict=True):
        assert [int(a) - int(b) for a, b in zip(ours, theirs, strict=True)] == [
            int(text.replace("−", "-")) for text in change
        ]
    assert found.matrices[2].rows[0].cells[0].tone == "good", "more right answers"


def test_of_a_hundred_classes_the_confused_ones_are_shown_and_no_image_is_lost() -> None:
    predictions = many_classes(100)
    answers = answers_of(predictions)
    found = matrices_of(answers, {"baseline": "frozen", "candidate": "tuned"})
    candidate = found.matrices[1]
    assert len(candidate.rows) == MOST_CLASSES and candidate.rows[-1].label == OTHERS
    assert {answers.labels[index] for index in (3, 40, 77)} <= {row.label for row in candidate.rows}
    assert sum(row.num_examples for row in candidate.rows) == 600
    num_wrong = 600 - int(np.trace(counts_of(answers, "candidate")))
    assert num_wrong == 24 == wrong_in(candidate) + dict(found.wrong_among_others)["tuned"]


def wrong_in(matrix: Matrix) -> int:
    return sum(
        int(cell.text) for place, row in enumerate(matrix.rows) for at, cell in enumerate(row.cells) if at != place
    )


def test_classes_that_only_one_model_knows_have_rows_too() -> None:
    truth = [0, 1, 2, 0, 1, 2]
    scores = scores_of(np.array(truth), np.ones(6, bool))
    two = ModelPredictions(LABELS[:2], scores[:, :2])
    old = ModelPredictions((*LABELS[:2], "gone"), scores)
    base = predictions_of(truth, {"candidate": scores})
    answers = answers_of(
        Predictions(base.examples, {"candidate": base.models["candidate"], "baseline": two, "production": old})
    )
    assert answers.labels == (*LABELS, "gone")
    assert answers.is_right("baseline").tolist() == [True, True, False] * 2
    assert (answers.of_truth["baseline"][2], answers.of_truth["production"][2]) == (0.0, 0.0)
    assert answers.labels[answers.named["production"][2]] == "gone"


def test_scores_that_are_no_numbers_are_no_answer(tmp_path: Path) -> None:
    predictions = three_classes(0.9, 0.6)
    predictions.models["candidate"].scores[4] = np.nan
    answers = answers_of(predictions)
    assert answers.named["candidate"][4] == NO_ANSWER and not answers.is_right("candidate")[4]
    text = page(content_of(predictions, tmp_path))
    assert "1 images have no answer" in text_of(text) and ">nan<" not in text.lower()


def test_bins_of_reliability_are_those_of_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([0.5] * 3, 400).astype(np.float32)
    truth = rng.integers(0, 3, 400)
    predictions = predictions_of(truth.tolist(), {"candidate": scores})
    found = bins_of(answers_of(predictions), "candidate", 0.05)
    error = sum(part.num_examples * abs(part.confidence - part.accuracy) for part in found) / 400
    assert error == pytest.approx(value_of("calibration_error", Answers(truth, scores)), abs=1e-6)
    assert all(part.bounds[0] <= part.accuracy <= part.bounds[1] for part in found)


def test_classes_are_sorted_by_what_they_lost(tmp_path: Path) -> None:
    content = content_of(three_classes(0.7, 0.7), tmp_path)
    table = tables.subset_table("Classes", content.verdict.class_metrics, content.verdict)
    gains = [float(line.gain.value.replace("−", "-")) for line in table.lines]
    assert gains == sorted(gains) and len(set(gains)) > 1
    assert all(line.bar and line.bar.left >= 0 and line.bar.left + line.bar.width <= 100.01 for line in table.lines)


def test_of_very_many_classes_both_ends_are_shown_and_the_rest_is_counted(tmp_path: Path) -> None:
    content = content_of(many_classes(100), tmp_path)
    table = tables.subset_table("Classes", content.verdict.class_metrics, content.verdict)
    assert len(table.lines) == 40 and table.num_all == 100
    assert "The 20 that lost most and the 20 that gained most, of 100" in text_of(page(content))
    assert table.lines[0].name in content.predictions.models["candidate"].labels  # type: ignore[union-attr]
    assert {line.name for line in table.lines} > {content.verdict.class_metrics[index].name for index in (3, 40)}


def test_galleries_hold_what_changed_with_both_answers(tmp_path: Path) -> None:
    predictions = three_classes(0.9, 0.6, production=0.8)
    answers = answers_of(predictions)
    write_galleries(predictions, read_pictures, tmp_path)
    found = {(item.other, item.change): item for item in read_galleries(tmp_path)}
    assert set(found) == {(other, change) for other in ("baseline", "production") for change in ("lost", "gained")}
    lost = answers.is_right("baseline") & ~answers.is_right("candidate")
    assert found["baseline", "lost"].num_all == lost.sum() > 0
    shown = found["baseline", "lost"].photographs
    assert len(shown) == min(24, lost.sum())
    for item in shown:
        assert item.before.label == item.label != item.after.label and item.picture is not None
    gained = found["baseline", "gained"]
    assert gained.num_all > len(gained.photographs) == 24
    assert f"24 are shown, {gained.num_all - 24} more are not." in text_of(page(content_of(predictions, tmp_path)))


def test_pictures_of_a_gallery_are_small_and_say_nothing_but_pixels() -> None:
    picture = small_file(picture_of(1, (900, 600)))
    assert b"SECRET" in picture_of(1) and b"SECRET" not in picture
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (160, 107) and not image.getexif()


def test_all_pictures_together_stay_within_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "MOST_BYTES", 6_000)
    write_galleries(three_classes(0.8, 0.6), read_pictures, tmp_path)
    found = read_galleries(tmp_path)
    pictures = [item.picture for gallery in found for item in gallery.photographs]
    kept = [picture for picture in pictures if picture]
    assert 0 < len(kept) < len(pictures) and sum(map(len, kept)) <= 6_000
    assert all(gallery.photographs[0].picture for gallery in found), "each group has its first"


def test_a_photograph_that_cannot_be_shown_is_still_listed(tmp_path: Path) -> None:
    def broken(positions: object) -> object:
        yield from ((position, b"no image") for position in positions)  # type: ignore[attr-defined]

    write_galleries(three_classes(0.9, 0.6), broken, tmp_path)  # type: ignore[arg-type]
    assert all(item.picture is None for gallery in read_galleries(tmp_path) for item in gallery.photographs)
    content = content_of(three_classes(0.9, 0.6), tmp_path / "other", galleries=read_galleries(tmp_path))
    assert "cannot be shown" in text_of(page(content))


def test_curves_have_a_boundary_for_each_phase_and_a_row_for_each_epoch() -> None:
    plots = training_plots(training((6, 4)))
    assert [tick.text for tick in plots[0].boundaries] == ["1", "2"]
    assert len(plots[0].kept) == 2 and len(epoch_rows(training((6, 4)))) == 10
    points = plots[0].curves[0].pieces[0].split()
    assert len(points) == 10
    sixth, seventh = (float(point.split(",")[0]) for point in points[5:7])
    assert sixth < plots[0].boundaries[1].at < seventh


def test_curves_of_a_phase_that_diverged_are_interrupted() -> None:
    record = training((4, 3))
    for epoch in record["phases"][1]["epochs"][:2]:
        epoch["eval_log_loss"] = None
    record["phases"][1]["epochs"][0]["train_loss"] = 1e9
    loss = training_plots(record)[0]
    assert "(logarithmic)" in loss.title
    eval_curve = loss.curves[1]
    assert len(eval_curve.pieces) == 1 and len(eval_curve.marks) == 1, "one epoch is left, as a mark"


def test_a_page_without_training_data_or_predictions_says_so(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6), tmp_path)
    bare = read_content(content.verdict, tmp_path / "gone", None, str(tmp_path / "gone"))
    text = page(bare)
    assert content.verdict.sentence in text_of(text)
    for words in ("not kept with this verdict", "not there any more", "thaw report RUN"):
        assert words in text_of(text)
    assert 'id="confusion"' not in text and 'id="curves"' not in text


def test_lineage_names_artifacts_digests_and_the_command(tmp_path: Path) -> None:
    seen = text_of(page(content_of(three_classes(0.9, 0.6), tmp_path)))
    for words in (
        "thaw run /runs/2026-11-22T15-04-05/config.yaml",
        "thaw run shapes.yaml --set model.seed=1",
        "c0ffee",
        "candidate model 12 /artifacts/FineTuner/model/6",
        "Gate abcdef0123",
        "feed",
        "seed: 1",
    ):
        assert words in seen


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    content = content_of(renamed(three_classes(0.8, 0.6, production=0.7), {LABELS[0]: EVIL}), tmp_path, title=EVIL)
    record = training()
    record["phases"][0]["name"] = record["baseline"] = EVIL
    content = content_of(content.predictions, tmp_path, title=EVIL, training=record)  # type: ignore[arg-type]
    text = page(content)
    assert "<script" not in text and "<img src=x" not in text
    assert text.count(html.escape(EVIL, quote=False)[:12]) > 20


def test_a_name_that_is_no_text_is_shown_with_a_sign(tmp_path: Path) -> None:
    label = os.fsdecode(b"caf\xe9")
    content = content_of(renamed(three_classes(0.8, 0.6), {LABELS[0]: label}), tmp_path)
    text = page(content)
    assert "caf\N{REPLACEMENT CHARACTER}" in text
    (tmp_path / "page.html").write_text(text, "utf-8")


def test_page_asks_for_nothing_from_elsewhere_and_is_the_same_each_time(tmp_path: Path) -> None:
    content = content_of(three_classes(0.9, 0.6, production=0.8), tmp_path)
    text = page(content)
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "url(" not in text and "@import" not in text and "<script" not in text
    assert "default-src 'none'" in text
    assert text == page(content)


def test_charts_have_words_for_those_who_cannot_see_them(tmp_path: Path) -> None:
    text = page(content_of(three_classes(0.9, 0.6), tmp_path))
    assert text.count('role="img"') == text.count("<desc ") == 5
    for name in re.findall(r'aria-labelledby="([^"]+)"', text):
        assert all(f'id="{part}"' in text for part in name.split())
    assert "The curves as a table" in text and "The diagrams as a table" in text
