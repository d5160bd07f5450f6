"""Photographs that a table lists, and what is said of tables as people have them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Entry, Listing, Source
from components.image_example_gen.sources.opening import fingerprint, open_source
from components.image_example_gen.sources.tables import typed_column
from trainer.errors import ThawError

Ask = Callable[..., Listing]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = tmp_path / "photo graphs"
    for name in ("a b.jpg", "ü.jpg", "deep/er/c.jpg", ".hidden/d.jpg"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(name.encode())
    return base


def source_of(place: Path, file: str = "all.csv", **manifest: Any) -> Source:
    return open_source(IngestionSettings.model_validate({"images": str(place), "manifest": {"file": file, **manifest}}))


def listed(folder: Path, text: str | bytes, file: str = "all.csv", **manifest: Any) -> Listing:
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    return source_of(folder, file, **manifest).list_entries()


def lines(*rows: Any) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def by_path(listing: Listing) -> dict[str, Entry]:
    return {entry.path: entry for entry in listing.entries}


def rejections(listing: Listing) -> list[tuple[str, str, Reason, str]]:
    return [(item.path, item.label, item.reason, item.detail) for item in listing.rejected]


def test_rows_of_csv_become_entries_with_all_that_they_tell(folder: Path) -> None:
    text = (
        'path,"the label",set,patient,w,age,site,note\n'
        '"a b.jpg"," cat, big ",val,p1,2,7,3.5,"x\ny"\n'
        "./ü.jpg,dog,,,0.5,8,2,007\n"
        "deep//er/c.jpg,dog,TRAIN,p1,1e0,,1,008\n"
        "\n"
        ".hidden/d.jpg,dog,test,p2,0,9,,\n"
    )
    columns = {"label": "the label", "split": "set", "group": "patient", "weight": "w"}
    listing = listed(folder, text, **columns, features=["age", "site", "note"])
    found = {
        path: (entry.label, entry.split, entry.group, entry.weight, entry.features)
        for path, entry in by_path(listing).items()
    }
    assert found == {
        "a b.jpg": ("cat, big", "eval", "p1", 2.0, (("age", 7), ("note", "x\ny"), ("site", 3.5))),
        "ü.jpg": ("dog", None, None, 0.5, (("age", 8), ("note", "007"), ("site", 2.0))),
        "deep/er/c.jpg": ("dog", "train", "p1", 1.0, (("note", "008"), ("site", 1.0))),
        ".hidden/d.jpg": ("dog", "test", "p2", 0.0, (("age", 9),)),
    }
    assert listing.rejected == ()
    assert {type(dict(entry.features).get("site", 0.0)) for entry in listing.entries} == {float}


def test_rows_of_json_lines_become_the_same_entries(folder: Path) -> None:
    rows = [
        {"path": "a b.jpg", "label": "cat", "set": "val", "age": 7, "ok": True},
        "",
        {"path": "ü.jpg", "label": 3, "set": None, "age": 7.5, "ok": None},
    ]
    listing = listed(folder, lines(*rows), "all.jsonl", split="set", features=["age", "ok"])
    entries = by_path(listing)
    assert entries["a b.jpg"].features == (("age", 7.0), ("ok", "true"))
    assert (entries["ü.jpg"].label, entries["ü.jpg"].split, entries["ü.jpg"].features) == ("3", None, (("age", 7.5),))


def test_a_byte_order_mark_and_windows_line_ends_are_taken_off(folder: Path) -> None:
    listing = listed(folder, b"\xef\xbb\xbfpath,label\r\nAB,cat\r\n".replace(b"AB", b"a b.jpg"))
    assert [(entry.path, entry.label) for entry in listing.entries] == [("a b.jpg", "cat")]


def test_reads_what_is_there_and_refuses_what_is_missing(folder: Path) -> None:
    listing = listed(folder, "path,label\na b.jpg,cat\nnix.jpg,cat\nü.jpg,dog\n")
    source = source_of(folder)
    entries = by_path(listing)
    assert source.read(entries["a b.jpg"], 100).content == b"a b.jpg"
    assert entries["nix.jpg"].version == "missing"
    with pytest.raises(Refusal) as caught:
        source.read(entries["nix.jpg"], 100)
    assert caught.value.reason == Reason.MISSING
    (folder / "ü.jpg").unlink()
    with pytest.raises(Refusal) as caught:
        source.read(entries["ü.jpg"], 100)
    assert caught.value.reason == Reason.MISSING


def test_a_file_that_comes_later_changes_the_fingerprint(folder: Path) -> None:
    before = fingerprint(listed(folder, "path,label\nnix.jpg,cat\n"))
    assert fingerprint(source_of(folder).list_entries()) == before
    (folder / "nix.jpg").write_bytes(b"x")
    assert fingerprint(source_of(folder).list_entries()) != before


def test_another_label_changes_the_fingerprint_and_another_order_does_not(folder: Path) -> None:
    before = listed(folder, "path,label\na b.jpg,cat\nü.jpg,dog\n")
    assert listed(folder, "path,label\nü.jpg,dog\na b.jpg,cat\n") == before
    assert fingerprint(listed(folder, "path,label\na b.jpg,cat\nü.jpg,cat\n")) != fingerprint(before)


def test_rows_that_cannot_be_used_are_rejected_each_with_its_line(folder: Path) -> None:
    text = (
        "path,label,set,w\n"
        "a b.jpg,,train,1\n"
        "../up.jpg,cat,train,1\n"
        "/etc/passwd,cat,train,1\n"
        "s3://bucket/x.jpg,cat,train,1\n"
        ",cat,train,1\n"
        "ü.jpg,cat,holdout,1\n"
        "b.jpg,cat,train,-1\n"
        "c.jpg,cat,train,nan\n"
        "d.jpg,cat,train,\n"
        "e.jpg,cat,train,1,5\n"
        "f.jpg,cat\n"
        'g.jpg,"c\nat",train,1\n'
        "h.jpg,cat,train,inf\n"
    )
    listing = listed(folder, text, split="set", weight="w")
    assert listing.entries == ()
    at = "of all.csv:"
    assert rejections(listing) == sorted(
        [
            ("a b.jpg", "", Reason.NO_LABEL, f"line 2 {at} 'label' is empty"),
            ("all.csv:3", "cat", Reason.BAD_VALUE, f"line 3 {at} the path '../up.jpg' leads out of {str(folder)!r}"),
            ("all.csv:4", "cat", Reason.BAD_VALUE, f"line 4 {at} the path '/etc/passwd' leads out of {str(folder)!r}"),
            (
                "all.csv:5",
                "cat",
                Reason.BAD_VALUE,
                f"line 5 {at} the path 's3://bucket/x.jpg' leads out of {str(folder)!r}",
            ),
            ("all.csv:6", "cat", Reason.BAD_VALUE, f"line 6 {at} 'path' is empty"),
            (
                "ü.jpg",
                "cat",
                Reason.BAD_VALUE,
                f"line 7 {at} 'holdout' is no split; allowed: train, training, eval, val, valid, validation, dev, "
                "test, testing",
            ),
            ("b.jpg", "cat", Reason.BAD_VALUE, f"line 8 {at} the weight '-1' is not a number of at least 0"),
            ("c.jpg", "cat", Reason.BAD_VALUE, f"line 9 {at} the weight 'nan' is not a number of at least 0"),
            ("d.jpg", "cat", Reason.BAD_VALUE, f"line 10 {at} the weight '' is not a number of at least 0"),
            ("e.jpg", "cat", Reason.BAD_VALUE, f"line 11 {at} 5 fields where the header has 4"),
            ("f.jpg", "cat", Reason.BAD_VALUE, f"line 12 {at} 2 fields where the header has 4"),
            ("g.jpg", "c\nat", Reason.BAD_VALUE, f"line 14 {at} the label 'c\\nat' has a line break in it"),
            ("h.jpg", "cat", Reason.BAD_VALUE, f"line 15 {at} the weight 'inf' is not a number of at least 0"),
        ]
    )


def test_bad_lines_of_json_are_rejected_each(folder: Path) -> None:
    rows = [{"path": "a b.jpg", "label": "cat"}, '{"path": ', "[1]", {"path": "ü.jpg", "label": ["cat"]}]
    listing = listed(folder, lines(*rows), "all.jsonl")
    assert len(listing.entries) == 1
    found = rejections(listing)
    assert [(path, reason) for path, _, reason, _ in found] == [
        ("all.jsonl:2", Reason.BAD_VALUE),
        ("all.jsonl:3", Reason.BAD_VALUE),
        ("ü.jpg", Reason.BAD_VALUE),
    ]
    assert "line 2 of all.jsonl: not JSON: " in found[0][3]
    assert found[2][3] == "line 4 of all.jsonl: 'label' is a list; text or a number is needed"


def test_the_same_path_twice_is_one_entry_if_the_rows_agree(folder: Path) -> None:
    listing = listed(folder, "path,label\na b.jpg,cat\n./a b.jpg,cat\n")
    assert [entry.path for entry in listing.entries] == ["a b.jpg"]
    assert listing.rejected == ()


def test_all_rows_of_a_path_with_different_labels_are_rejected(folder: Path) -> None:
    listing = listed(folder, "path,label\na b.jpg,cat\nü.jpg,dog\na b.jpg,dog\n")
    assert [entry.path for entry in listing.entries] == ["ü.jpg"]
    detail = "lines 2, 4 say 'cat' and 'dog'"
    assert rejections(listing) == [
        ("a b.jpg", "cat", Reason.CONFLICTING_LABELS, detail),
        ("a b.jpg", "dog", Reason.CONFLICTING_LABELS, detail),
    ]


def test_a_path_in_two_splits_is_rejected(folder: Path) -> None:
    listing = listed(folder, "path,label,set\na b.jpg,cat,train\na b.jpg,cat,test\n", split="set")
    assert listing.entries == ()
    assert {(reason, detail) for _, _, reason, detail in rejections(listing)} == {
        (Reason.BAD_VALUE, "lines 2, 3 name it with different values")
    }


def test_absolute_paths_inside_the_folder_are_taken(folder: Path) -> None:
    listing = listed(folder, f"path,label\n{folder}/a b.jpg,cat\n")
    assert [entry.path for entry in listing.entries] == ["a b.jpg"]


def test_other_classes_than_the_fixed_ones_are_rejected(folder: Path) -> None:
    (folder / "all.csv").write_text("path,label\na b.jpg,cat\nü.jpg,cow\n")
    settings = {"images": str(folder), "manifest": {"file": "all.csv"}, "labels": ["cat", "dog"]}
    listing = open_source(IngestionSettings.model_validate(settings)).list_entries()
    assert rejections(listing) == [("ü.jpg", "cow", Reason.UNKNOWN_LABEL, "not one of data.labels: 'cat', 'dog'")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,lable\na,b\n",
            r"no column 'label' in the manifest 'all.csv'; nearest: 'lable'; there are: 'path', 'lab",
        ),
        ("path, Label\na,b\n", r"nearest: ' Label'"),
        ("path;label\na;b\n", r"the columns seem to be separated by ';', but only commas are read"),
        ("path,label,label\na,b,c\n", r"has the column 'label' twice"),
        ("", r"it is empty; the first line must name the columns"),
        ("path,label\n", r"has no rows"),
        (b"path,label\n\xff,a\n", r"is not UTF-8 text \(byte 11\); save it as UTF-8"),
        ('path,label\n"a"b,c\n', r"is not CSV from line 2 on"),
        ('path,label\n"a,c\n', r"is not CSV from line 2 on"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_in_words(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ThawError, match=message):
        listed(folder, text)


def test_a_key_that_no_line_has_is_told_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ThawError, match=r"no key 'label' in the manifest 'all.jsonl'; nearest: 'labels'"):
        listed(folder, lines({"path": "a b.jpg", "labels": "cat"}), "all.jsonl")


def test_a_missing_manifest_is_told(folder: Path) -> None:
    with pytest.raises(ThawError, match=r"there is no manifest 'nix.csv' in '.*'; data.manifest.file is relative to"):
        source_of(folder, "nix.csv").list_entries()
    with pytest.raises(ThawError, match=r"cannot read the manifest '/nix/nix.csv': No such file"):
        source_of(folder, "/nix/nix.csv").list_entries()


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
def test_a_manifest_in_an_archive_lists_its_photographs(folder: Path, form: str) -> None:
    expected = listed(folder, "path,label,age\na b.jpg,cat,1\nü.jpg,dog,2\nnix.jpg,dog,3\n", features=["age"])
    archive = Path(shutil.make_archive(str(folder.parent / "packed"), form, folder))
    source = source_of(archive, features=["age"])
    found = by_path(source.list_entries())
    assert {(entry.path, entry.label, entry.features) for entry in found.values()} == {
        (entry.path, entry.label, entry.features) for entry in expected.entries
    }
    assert source.read(found["ü.jpg"], 100).content == "ü.jpg".encode()
    with pytest.raises(Refusal, match="missing"):
        source.read(found["nix.jpg"], 100)


def test_a_manifest_beside_the_photographs_is_read(folder: Path) -> None:
    outside = folder.parent / "elsewhere.csv"
    outside.write_text("path,label\na b.jpg,cat\n")
    assert [entry.path for entry in source_of(folder, str(outside)).list_entries().entries] == ["a b.jpg"]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "", None], [1, -2, None, None]),
        (["1", "2.5", "-1e3"], [1.0, 2.5, -1000.0]),
        (["1", "x"], ["1", "x"]),
        (["01", "2"], ["01", "2"]),
        (["1_000", "2"], ["1_000", "2"]),
        (["nan", "1.5"], ["nan", "1.5"]),
        (["1", str(2**63)], [1.0, float(2**63)]),
        ([1, 2.5], [1.0, 2.5]),
        ([10**400, 1], ["1" + "0" * 400, "1"]),
        (["", None], [None, None]),
    ],
)
def test_a_column_has_one_type(cells: list[Any], values: list[Any]) -> None:
    found = typed_column(cells)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]
