"""Spans: which arrivals of data are read, and how their photographs are named."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.image_example_gen.refusals import Reason
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Listing, Source
from components.image_example_gen.sources.opening import fingerprint, open_source
from components.image_example_gen.sources.spans import SpanTemplate
from trainer.errors import ThawError

MAX_BYTES = 1000


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def source_of(images: Path | str, span: Any = None, **settings: Any) -> Source:
    return open_source(IngestionSettings.model_validate({"images": str(images), "span": span, **settings}))


def paths(listing: Listing) -> list[str]:
    return sorted(entry.path for entry in listing.entries)


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    write(tmp_path, "span-9/cats/1.jpg", "span-010/cats/1.jpg", "span-11/dogs/ü 1.jpg", "span-x/cats/1.jpg")
    write(tmp_path, "span-12", "notes/cats/1.jpg")  # a file is no span
    return tmp_path / "span-{SPAN}"


@pytest.fixture
def dated(tmp_path: Path) -> Path:
    write(tmp_path, *(f"2026-{date}/cats/1.jpg" for date in ("01-31", "02-01", "11-22")))
    return tmp_path / "{YYYY}-{MM}-{DD}"


@pytest.mark.parametrize(
    ("span", "spans", "found"),
    [
        (None, ("11",), ["span-11/dogs/ü 1.jpg"]),
        ("latest", ("11",), ["span-11/dogs/ü 1.jpg"]),
        (10, ("10",), ["span-010/cats/1.jpg"]),
        ("9", ("9",), ["span-9/cats/1.jpg"]),
        ({"last": 2}, ("10", "11"), ["span-010/cats/1.jpg", "span-11/dogs/ü 1.jpg"]),
        ({"last": 9}, ("9", "10", "11"), ["span-010/cats/1.jpg", "span-11/dogs/ü 1.jpg", "span-9/cats/1.jpg"]),
    ],
)
def test_numbered_spans_are_chosen_by_number(
    numbered: Path, span: Any, spans: tuple[str, ...], found: list[str]
) -> None:
    listing = source_of(numbered, span).list_entries()
    assert listing.spans == spans
    assert paths(listing) == found
    assert {entry.label for entry in listing.entries} <= {"cats", "dogs"}


@pytest.mark.parametrize(
    ("span", "spans"),
    [(None, ("2026-11-22",)), ("2026-02-01", ("2026-02-01",)), ({"last": 2}, ("2026-02-01", "2026-11-22"))],
)
def test_dated_spans_are_chosen_by_date(dated: Path, span: Any, spans: tuple[str, ...]) -> None:
    listing = source_of(dated, span).list_entries()
    assert listing.spans == spans
    assert paths(listing) == [f"{date}/cats/1.jpg" for date in spans]


def test_photographs_of_spans_are_read_after_pickling(numbered: Path) -> None:
    source = source_of(numbered, {"last": 3})
    again = pickle.loads(pickle.dumps(source))
    for entry in source.list_entries().entries:
        photograph = again.read(entry, MAX_BYTES)
        assert photograph.content == entry.path.encode()
        assert photograph.entry == entry


def test_a_span_that_is_not_there_is_told_with_the_nearest(numbered: Path, dated: Path) -> None:
    with pytest.raises(ThawError, match=r"there is no span 13 in '.*'; nearest: 9, 10, 11; set data.span to one of"):
        source_of(numbered, 13).list_entries()
    with pytest.raises(ThawError, match=r"no span 2026-02-02 in '.*'; nearest: 2026-01-31, 2026-02-01, 2026-11-22"):
        source_of(dated, "2026-02-02").list_entries()


def test_no_span_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ThawError, match=r"no span in '.*' matches 'span-\{SPAN\}'; set data.images to where spans arriv"
    ):
        source_of(tmp_path / "span-{SPAN}").list_entries()
    with pytest.raises(ThawError, match=r"cannot list '.*/nix', where spans should lie: No such file"):
        source_of(tmp_path / "nix" / "span-{SPAN}").list_entries()


def test_two_folders_of_the_same_span_are_told(tmp_path: Path) -> None:
    write(tmp_path, "span-7/cats/1.jpg", "span-07/cats/1.jpg")
    with pytest.raises(ThawError, match=r"'span-07' and 'span-7' in '.*' are the same span; rename one of them"):
        source_of(tmp_path / "span-{SPAN}").list_entries()


def test_a_name_that_is_no_date_is_told(tmp_path: Path) -> None:
    write(tmp_path, "2026-02-30/cats/1.jpg")
    with pytest.raises(ThawError, match=r"'2026-02-30' in '.*' stands for 2026-02-30, which is no date; rename it"):
        source_of(tmp_path / "{YYYY}-{MM}-{DD}").list_entries()


def test_placeholders_may_be_anywhere_in_the_path(tmp_path: Path) -> None:
    write(tmp_path, "2026/11/21/a/cats/1.jpg", "2026/11/22/a/cats/1.jpg", "2025/12/31/a/cats/1.jpg")
    listing = source_of(tmp_path / "{YYYY}" / "{MM}" / "{DD}" / "a").list_entries()
    assert paths(listing) == ["2026/11/22/a/cats/1.jpg"]
    again = source_of(tmp_path / "{YYYY}" / "{MM}" / "{DD}" / "a", "2025-12-31").list_entries()
    assert (paths(again), again.spans) == (["2025/12/31/a/cats/1.jpg"], ("2025-12-31",))


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
def test_each_span_may_be_an_archive(tmp_path: Path, form: str) -> None:
    suffix = {"zip": "zip", "tar": "tar", "gztar": "tar.gz"}[form]
    for number in (1, 2):
        write(tmp_path / "in" / str(number), f"cats/{number}.jpg")
        shutil.make_archive(str(tmp_path / f"photos-{number}"), form, tmp_path / "in" / str(number))
    source = source_of(tmp_path / f"photos-{{SPAN}}.{suffix}", {"last": 2})
    entries = source.list_entries().entries
    assert sorted(entry.path for entry in entries) == [f"photos-{n}.{suffix}/cats/{n}.jpg" for n in (1, 2)]
    assert {source.read(entry, MAX_BYTES).content for entry in entries} == {b"cats/1.jpg", b"cats/2.jpg"}


def test_each_span_may_have_a_manifest_of_its_own(numbered: Path, tmp_path: Path) -> None:
    for name in ("span-010", "span-11"):
        (tmp_path / name / "all.csv").write_text("path,label\ncats/1.jpg,felix\n,cat\n")
    source = source_of(numbered, {"last": 2}, manifest={"file": "all.csv"})
    listing = source.list_entries()
    assert paths(listing) == ["span-010/cats/1.jpg", "span-11/cats/1.jpg"]
    assert {entry.label for entry in listing.entries} == {"felix"}
    assert [(item.path, item.reason) for item in listing.rejected] == [
        ("span-010/all.csv:3", Reason.BAD_VALUE),
        ("span-11/all.csv:3", Reason.BAD_VALUE),
    ]


def test_hidden_files_are_listed_with_their_span(numbered: Path, tmp_path: Path) -> None:
    write(tmp_path, "span-11/dogs/.DS_Store")
    assert source_of(numbered).list_entries().ignored == ("span-11/dogs/.DS_Store",)


def test_a_new_span_changes_the_fingerprint_and_an_older_one_does_not(numbered: Path, tmp_path: Path) -> None:
    before = fingerprint(source_of(numbered).list_entries())
    write(tmp_path, "span-3/cats/1.jpg")
    assert fingerprint(source_of(numbered).list_entries()) == before
    write(tmp_path, "span-15/cats/1.jpg")
    assert fingerprint(source_of(numbered).list_entries()) != before


def test_what_lies_in_a_span_is_known() -> None:
    template = SpanTemplate("/data/in/span-{SPAN}/x")
    assert template.holds("/data/in/span-3/x")
    assert template.holds("/data/in/span-3/x/runs")
    assert not template.holds("/data/in/span-3")
    assert not template.holds("/data/in/span-a/x")
    assert not template.holds("/other/in/span-3/x")


def test_an_absolute_manifest_with_spans_is_refused() -> None:
    with pytest.raises(ValidationError, match="must lie inside each span"):
        source_of("/data/{SPAN}", manifest={"file": "/data/all.csv"})
