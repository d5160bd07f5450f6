"""The report in a real headless Chromium: it loads in silence, asks for nothing, and is legible on every screen."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.gate.report.content import ReportContent
from components.gate.report.page import page
from components.gate.settings import GateSettings
from components.gate.verdict_schema import Verdict
from pipeline.reports import browser, two_runs
from pipeline.reports.browser import Tab, running_browser, write_pdf, write_png
from pipeline.run_record import RunRecord
from tests.unit.components.gate_material import LABELS
from tests.unit.components.gate_pages import (
    EVIL,
    SETTINGS,
    UNICODE,
    approval,
    content_of,
    lineage,
    many_classes,
    renamed,
    three_classes,
)
from trainer.errors import ThawError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(shutil.which, browser._NAMES)), reason="no Chromium on PATH to show the page in"),
]

LOOK = """(() => {
    const root = document.documentElement, images = [...document.images];
    const seen = element => { const box = element.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
    const sentence = document.getElementById('sentence');
    const tables = [...document.querySelectorAll('table.stack')];
    return {
        overflow: root.scrollWidth - root.clientWidth,
        images: images.length,
        broken: images.filter(image => !image.naturalWidth).length,
        sentence: sentence.innerText,
        sentence_at: sentence.getBoundingClientRect().top,
        is_seen: seen(sentence),
        title: document.title,
        scripts: document.scripts.length,
        paper: getComputedStyle(document.body).backgroundColor,
        ink: getComputedStyle(document.body).color,
        too_wide: tables.filter(table => table.getBoundingClientRect().right > root.clientWidth + 1).length,
        charts: [...document.querySelectorAll('svg[role=img]')].filter(seen).length,
        least_text_px: Math.min(...[...document.querySelectorAll('svg[role=img] text')].map(
            text => text.getBoundingClientRect().height)),
    };
})()"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with running_browser() as opened:
        yield opened


def refused(folder: Path) -> ReportContent:
    return content_of(three_classes(0.4, 0.8, production=0.85), folder)


def approved_by_hand(folder: Path) -> ReportContent:
    content = refused(folder)
    verdict = content.verdict.model_copy(update={"approval": approval(EVIL)})
    return dataclasses.replace(content, verdict=verdict)


def changed_classes(folder: Path) -> ReportContent:
    predictions = three_classes(0.9, 0.6, production=0.8)
    old = dataclasses.replace(predictions.models["production"], labels=(*LABELS[:2], "a class that is gone"))
    models = {**predictions.models, "production": old}
    return content_of(dataclasses.replace(predictions, models=models), folder)


def odd_names(folder: Path) -> ReportContent:
    long_name = "a_class_with_a_very_long_name_without_any_space_in_it_" * 3
    names = dict(zip(LABELS, (EVIL, UNICODE, long_name), strict=True))
    return content_of(renamed(three_classes(0.7, 0.6), names), folder, title=EVIL)


def undecided_with_many_settings(folder: Path) -> ReportContent:
    settings = GateSettings.model_validate(
        {**SETTINGS.model_dump(), "floors": {"accuracy": 0.6, "log_loss": 2.0}, "on_refusal": "push_baseline"}
    )
    return content_of(three_classes(0.62, 0.6, num_examples=60), folder, settings)


SCENARIOS: dict[str, Callable[[Path], ReportContent]] = {
    "pushed": lambda folder: content_of(
        three_classes(0.9, 0.6, production=0.85), folder, lineage=lineage(pushed_to="/serving/7")
    ),
    "first push": lambda folder: content_of(three_classes(0.9, 0.6), folder),
    "refused": refused,
    "cannot be told": undecided_with_many_settings,
    "approved by hand": approved_by_hand,
    "changed classes": changed_classes,
    "a hundred classes": lambda folder: content_of(many_classes(100), folder),
    "odd names": odd_names,
}


def noise(tab: Tab) -> list[Any]:
    """What a page should not do: errors, messages, requests for anything but itself and what it holds."""
    found: list[Any] = []
    for method, parameters in tab.events:
        if method in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            found.append(parameters)
        if method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("file:", "data:")):
            found.append(parameters["request"]["url"])
    return found


def open_page(tab: Tab, text: str, folder: Path, width_px: int) -> dict[str, Any]:
    path = folder / "seité.html"
    path.write_text(text, "utf-8", "replace")
    tab.go_to(path, width_px)
    found: dict[str, Any] = tab.value_of(LOOK)
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_report_loads_in_silence_and_is_legible_on_phone_and_desk(tab: Tab, tmp_path: Path, name: str) -> None:
    content = SCENARIOS[name](tmp_path)
    num_pictures = sum(item.picture is not None for gallery in content.galleries for item in gallery.photographs)
    for width_px in (360, 1200):
        found = open_page(tab, page(content), tmp_path, width_px)
        assert not noise(tab)
        assert found["overflow"] <= 0 and found["too_wide"] == 0
        assert (found["images"], found["broken"]) == (num_pictures, 0) and num_pictures > 0
        assert " ".join(found["sentence"].split()) == " ".join(content.verdict.sentence.split())
        assert found["is_seen"] and found["sentence_at"] < 200, "at the top of the first screen"
        assert "evil" not in found["title"].partition("<")[0] and found["scripts"] == 0
        assert found["charts"] >= 5 and found["least_text_px"] >= 11


def test_noise_would_be_noticed(tab: Tab, tmp_path: Path) -> None:
    text = page(refused(tmp_path)).replace("</body>", "<img src='http://127.0.0.1:9/x.png'><script>1</script></body>")
    open_page(tab, text, tmp_path, 1200)
    assert len(noise(tab)) >= 2, "the page's own policy forbids both"


def test_a_page_is_dark_where_that_is_preferred_and_light_on_paper(tab: Tab, tmp_path: Path) -> None:
    text = page(refused(tmp_path))
    light = open_page(tab, text, tmp_path, 1200)
    tab.ask("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    dark = tab.value_of(LOOK)
    dark_scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    tab.ask("Emulation.setEmulatedMedia", {"media": "print", "features": dark_scheme})
    paper = tab.value_of(LOOK)
    assert (light["paper"], light["ink"]) == ("rgb(255, 255, 255)", "rgb(28, 30, 33)") == (paper["paper"], paper["ink"])
    assert (dark["paper"], dark["ink"]) == ("rgb(22, 24, 27)", "rgb(231, 233, 236)")


CONTRAST = """(() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const paint = colour => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };
    const pixel = () => [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(value => {
        const share = value / 255; return share <= .03928 ? share / 12.92 : ((share + .055) / 1.055) ** 2.4; });
    const light = () => { const [r, g, b] = pixel(); return .2126 * r + .7152 * g + .0722 * b; };
    const worst = {};
    const all = 'td, th, p, h1, h2, h3, a, figcaption, dt, .kind, .interval, .mark';
    for (const element of document.querySelectorAll(all)) {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
        paint(getComputedStyle(document.body).backgroundColor); layers.forEach(paint);
        const below = light();
        paint(getComputedStyle(element).color);
        const above = light(), ratio = (Math.max(above, below) + .05) / (Math.min(above, below) + .05);
        const name = element.tagName + '.' + element.className;
        worst[name] = Math.min(worst[name] ?? 99, ratio);
    }
    return worst;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(tab: Tab, tmp_path: Path, scheme: str) -> None:
    """At least 4.5 to 1, as WCAG 2.2 asks for (1.4.3)."""
    open_page(tab, page(refused(tmp_path)), tmp_path, 1200)
    tab.ask("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    worst = tab.value_of(CONTRAST)
    assert len(worst) > 15
    assert not {name: round(ratio, 2) for name, ratio in worst.items() if ratio < 4.5}


def test_pdf_and_png_hold_the_whole_page(tmp_path: Path) -> None:
    source = tmp_path / "report.html"
    source.write_text(page(refused(tmp_path)), "utf-8")
    write_pdf(source, tmp_path / "report.pdf")
    write_png(source, tmp_path / "report.png")
    printed = (tmp_path / "report.pdf").read_bytes()
    assert printed.startswith(b"%PDF-") and printed.count(b"/Type /Page\n") > 1
    from PIL import Image

    with Image.open(tmp_path / "report.png") as image:
        assert image.width == 1200 and image.height > 3000
        bottom = image.convert("L").crop((0, image.height - 600, 1200, image.height)).getextrema()
    assert bottom[0] < 100, "its end is drawn, too"


def test_without_a_browser_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ThawError, match="install the package chromium"):
        write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")


def test_a_browser_that_dies_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ThawError, match="the browser ended before it had answered"):
        write_pdf(tmp_path / "page.html", tmp_path / "page.pdf")


def test_a_page_that_cannot_be_written_to_is_told_in_words(tmp_path: Path) -> None:
    source = tmp_path / "page.html"
    source.write_text(json.dumps("a page"), "utf-8")
    with pytest.raises(ThawError, match=r"missing/page\.pdf cannot be written: No such file"):
        write_pdf(source, tmp_path / "missing" / "page.pdf")


def test_a_comparison_of_two_runs_loads_in_silence_and_fits_a_phone(tab: Tab, tmp_path: Path) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    verdict = Verdict.model_validate_json((Path(__file__).parents[2] / "verdict_example.json").read_bytes())
    parts: dict[str, Any] = {"name": EVIL, "pid": 1, "started_at": start, "config_path": "config.yaml"}
    good = RunRecord(run_id="2026-11-22T00-00-00", status="pushed", verdict=verdict, **parts)
    failed = RunRecord(run_id="2026-11-23T00-00-00", status="failed", error=f"{EVIL} {'x' * 300}", **parts)
    both = two_runs.compared(two_runs.OneRun(good, {"a" * 90: "1"}), two_runs.OneRun(failed, {"a" * 90: UNICODE}))
    path = tmp_path / "compared.html"
    path.write_text(two_runs.page_of(both), "utf-8")
    for width_px in (360, 1200):
        tab.go_to(path, width_px)
        assert not noise(tab)
        assert tab.value_of("document.documentElement.scrollWidth") <= width_px
        assert "pushed" in tab.value_of("document.body.innerText") and "evil" not in tab.value_of("document.title")
