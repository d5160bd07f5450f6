import html
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen.report.contact_sheet import (
    NUM_COLUMNS,
    TILE_SIZE_PX,
    Section,
    Tile,
    contact_sheet,
    contact_sheet_png,
    fitted,
    shortened,
    wrapped,
)
from components.image_example_gen.report.content import (
    DataReport,
    LookalikePair,
    Picture,
    RefusedPhotograph,
    SampleGroup,
)
from components.image_example_gen.report.page import balance_rows, class_rows, page, size_chart

EVIL = "<script>alert(1)</script>"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def pixels(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def png(seed: int, height: int = 48, width: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed, height, width)).save(buffer, "PNG")
    return buffer.getvalue()


def full_report(num_refused: int = 350) -> DataReport:
    labels = ["five", "Äpfel und 苹果", EVIL, "a_class_with_a_very_long_name_without_any_space_in_it_" * 2]
    refused = [
        RefusedPhotograph(f"five/{'deep/' * 12}{number:04d}.jpg", "five", "truncated", "ends too early")
        for number in range(num_refused)
    ]
    return DataReport(
        title=f"Photographs of {EVIL}",
        summary=["From photographs/, read on 2026-11-22.", f"Class {EVIL} has no photograph in test."],
        labels=labels,
        num_by_split={
            "train": dict.fromkeys(labels, 700),
            "eval": dict.fromkeys(labels, 150),
            "test": {labels[0]: 150, labels[1]: 12},
        },
        num_refused={"truncated": {"five": num_refused - 3}, "no label": {"": 3}},
        refused=refused,
        pairs=[
            LookalikePair(
                Picture("five/001.jpg (train)", png(1)), Picture("five/copy of 001.jpg (test)", png(1)), "same"
            ),
            LookalikePair(Picture(f"{EVIL}/1.jpg", png(2, 90, 30)), Picture("x.jpg", None, "missing"), "mirrored"),
        ],
        num_pairs=12,
        sizes_px=[(500, 375)] * 900 + [(375, 500)] * 200 + [(4000, 3000)] * 20,
        num_by_format={"jpeg": 1000, "png": 112, "webp": 8},
        samples=[
            SampleGroup(label, [Picture(f"{number}.jpg", png(number)) for number in range(9)]) for label in labels
        ],
        refused_samples=[
            Picture("five/half.jpg", None, "truncated"),
            Picture("five/huge.png", png(7), "too many pixels"),
        ],
    )


def in_browser(text: str, folder: Path, width_px: int) -> str:
    """The page's DOM after a script of ours has looked at it; its verdict is the attribute data-verdict."""
    script = """<script>addEventListener('load', () => {
        const images = [...document.images], root = document.documentElement;
        const verdict = {images: images.length, broken: images.filter(image => !image.naturalWidth).length,
            overflow: root.scrollWidth - root.clientWidth, width: root.clientWidth,
            alerts: document.querySelectorAll('script').length - 1, text: document.body.innerText.includes(EVIL)};
        root.setAttribute('data-verdict', Object.entries(verdict).map(pair => pair.join('=')).join(' '));
    })</script>""".replace("EVIL", json.dumps(EVIL).replace("</", "<\\/"))
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    assert policy.search(text)
    body = policy.sub("", text).replace("</body>", f"{script}</body>")
    # The window of headless Chromium is at least 500 pixels wide; a frame may be narrower.
    (folder / "page.html").write_text(body, "utf-8")
    frame = f"""<!doctype html><body style="margin:0"><iframe srcdoc="{html.escape(body)}" id="frame"
        style="border:0;width:{width_px}px;height:800px"></iframe><script>addEventListener('load', () => {{
        const inner = document.getElementById('frame').contentDocument.documentElement;
        document.documentElement.setAttribute('data-verdict', inner.getAttribute('data-verdict')); }})</script>"""
    (folder / "frame.html").write_text(frame, "utf-8")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--virtual-time-budget=5000",
    ]
    command += [f"--window-size={max(width_px, 500)},900", f"--user-data-dir={folder}/profile", "--dump-dom"]
    environment = {**os.environ, "HOME": str(folder)}
    address = (folder / "frame.html").as_uri()
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=120, env=environment, check=True)
    return done.stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH to show the page in")
@pytest.mark.parametrize("width_px", [400, 1200])
def test_page_shows_every_picture_and_fits_its_window_in_a_real_browser(tmp_path: Path, width_px: int) -> None:
    report = full_report()
    dom = in_browser(page(report), tmp_path, width_px)
    verdict = dict(item.split("=") for item in re.search(r'data-verdict="([^"]*)"', dom)[1].split())
    width_inside_px = int(verdict.pop("width"))
    assert width_px - 20 <= width_inside_px <= width_px  # a scroll bar takes some
    num_pictures = 4 * 9 + 3 + 1 + 1  # samples, pairs, refused, sizes
    assert verdict == {
        "images": str(num_pictures),
        "broken": "0",
        "overflow": "0",
        "alerts": "0",
        "text": "true",
    }


def test_names_are_escaped_everywhere() -> None:
    text = page(full_report())
    assert "<script" not in text
    assert text.count(html.escape(EVIL)) >= 5


def test_page_asks_for_nothing_from_elsewhere() -> None:
    text = page(full_report())
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_page_says_how_many_of_the_refused_are_listed() -> None:
    text = page(full_report(num_refused=350))
    assert "The first 200 of 350." in text
    assert text.count("ends too early") == 200
    assert "The first" not in page(full_report(num_refused=20))


def test_page_of_nothing_is_a_page() -> None:
    text = page(DataReport(title="Photographs", labels=["a"], num_by_split={}))
    assert text.count("None.") == 2
    assert "0 photographs of 1 classes" in text


def test_name_that_is_no_text_is_shown_with_a_sign(tmp_path: Path) -> None:
    label = os.fsdecode(b"caf\xe9")
    text = page(DataReport(title="Photographs", labels=[label], num_by_split={"train": {label: 3}}))
    assert "caf\N{REPLACEMENT CHARACTER}" in text
    (tmp_path / "page.html").write_text(text, "utf-8")


def test_page_is_the_same_each_time() -> None:
    assert page(full_report()) == page(full_report())


def test_classes_are_in_their_order_and_unnamed_ones_come_last() -> None:
    report = DataReport("", ["b", "a"], {"train": {"a": 3, "z": 1}, "test": {"b": 1}})
    assert [(row.label, list(row.counts), row.total) for row in class_rows(report)] == [
        ("b", [0, 1], 1),
        ("a", [3, 0], 3),
        ("z", [1, 0], 1),
    ]
    assert [list(row.percents) for row in class_rows(report)][1] == [100, 0]


def test_balance_names_the_class_that_departs_most() -> None:
    report = DataReport("", ["a", "b"], {"train": {"a": 50, "b": 50}, "test": {"a": 20, "b": 0}})
    train, test = balance_rows(report)
    assert (test.furthest_label, round(test.furthest_points, 1)) == ("a", 41.7)
    assert (train.num_photographs, round(train.percent, 1)) == (100, 83.3)


def test_size_chart_takes_a_single_size() -> None:
    with Image.open(io.BytesIO(size_chart([(64, 64)] * 5))) as image:
        assert image.width > 500


def test_sheet_shows_the_pixels_of_each_tile_in_its_place() -> None:
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
    tiles = [
        Tile(f"{number}", np.full((30, 60, 3), colours[number % 3], np.uint8)) for number in range(NUM_COLUMNS + 2)
    ]
    sheet = np.asarray(contact_sheet([Section("title", tiles)]))
    for number, colour in enumerate(colours):
        num_tiles = len(range(number, len(tiles), 3))
        side = TILE_SIZE_PX - 4
        assert (sheet == colour).all(axis=-1).sum() == num_tiles * side * (side // 2)


def test_refused_tile_without_pixels_says_why_in_its_colour() -> None:
    plain = np.asarray(contact_sheet([Section("t", [Tile("a", pixels(0))])]))
    refused = np.asarray(contact_sheet([Section("t", [Tile("a", None, "refused", "cannot be decoded")])]))
    silent = np.asarray(contact_sheet([Section("t", [Tile("a", None, "refused", " ")])]))
    assert not (plain == (163, 29, 29)).all(axis=-1).any()
    assert (refused == (163, 29, 29)).all(axis=-1).sum() > (silent == (163, 29, 29)).all(axis=-1).sum()


def test_sheet_is_a_png_even_with_nothing_on_it() -> None:
    with Image.open(io.BytesIO(contact_sheet_png([Section("empty", [])]))) as image:
        assert image.format == "PNG" and image.height > 60


def test_long_names_are_shortened_in_the_middle_and_words_wrapped() -> None:
    from components.image_example_gen.report.contact_sheet import _font

    font = _font(12)
    short = shortened("photographs/" + "x" * 200 + "/0001.jpg", font, 144)
    assert font.getlength(short) <= 144 and short.startswith("ph") and short.endswith("0001.jpg")
    assert shortened("a.jpg", font, 144) == "a.jpg"
    lines = wrapped("the file ends before the picture does " + "y" * 300, font, 120)
    assert len(lines) > 2 and all(font.getlength(line) <= 120 for line in lines)
    assert "\n" not in shortened("a\nb\udcff", font, 144)


def test_small_photographs_are_enlarged_without_smoothing() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = 255
    assert set(np.unique(np.asarray(fitted(image, 100)))) == {0, 255}
    assert fitted(pixels(0, 3000, 20), 140).size == (1, 140)
