"""Which files of a folder are photographs, what their paths say, and when a change of them is noticed."""

import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Entry, Listing, Source
from components.image_example_gen.sources.opening import fingerprint, open_source
from components.image_example_gen.sources.patterns import PathPattern
from trainer.errors import ThawError

MAX_BYTES = 100_000


@pytest.fixture
def folder(make_folder: Callable[..., Path]) -> Path:
    return make_folder(num_files=20)


def source_of(folder: Path, **settings: Any) -> Source:
    return open_source(IngestionSettings.model_validate({"images": str(folder), **settings}))


def listed(folder: Path, **settings: Any) -> Listing:
    return source_of(folder, **settings).list_entries()


def paths(listing: Listing) -> list[str]:
    return [entry.path for entry in listing.entries]


def refusal_of(source: Source, path: str, max_bytes: int = MAX_BYTES) -> Refusal:
    (entry,) = (entry for entry in source.list_entries().entries if entry.path == path)
    with pytest.raises(Refusal) as caught:
        source.read(entry, max_bytes)
    return caught.value


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_lists_every_file_once_with_its_class_folder(folder: Path, digit_files: list[tuple[bytes, str]]) -> None:
    listing = listed(folder)
    expected = {f"{label}/{number} ü.png": label for number, (_, label) in enumerate(digit_files[:20])}
    assert {entry.path: entry.label for entry in listing.entries} == expected
    assert len(listing.entries) == 20
    assert {(entry.split, entry.group, entry.weight, entry.features) for entry in listing.entries} == {
        (None, None, 1.0, ())
    }


def test_reads_the_bytes_of_every_file(folder: Path) -> None:
    source = source_of(folder)
    for entry in source.list_entries().entries:
        photograph = source.read(entry, MAX_BYTES)
        assert photograph.content == (folder / entry.path).read_bytes()
        assert photograph.entry == entry


def test_the_order_mixes_the_classes_and_does_not_depend_on_the_file_system(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.image_example_gen.sources import stores

    listing = listed(folder)
    labels = [entry.label for entry in listing.entries]
    assert labels != sorted(labels, key=str)
    assert any(labels[index] != labels[index + 1] for index in range(5))
    original = stores._scan
    monkeypatch.setattr(stores, "_scan", lambda place: list(reversed(original(place))))
    assert listed(folder) == listing


def test_hidden_files_are_ignored_but_listed(folder: Path) -> None:
    write(folder, "two/.DS_Store", ".trash/old.png")
    listing = listed(folder)
    assert listing.ignored == (".trash/old.png", "two/.DS_Store")
    assert not {path for path in paths(listing) if "/." in path or path.startswith(".")}


def test_folders_are_not_files(folder: Path) -> None:
    (folder / "two" / "sub.png").mkdir()
    assert "two/sub.png" not in paths(listed(folder))


def test_a_dangling_link_is_listed_and_refused_as_missing(folder: Path) -> None:
    (folder / "two" / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "two" / "self.png").symlink_to(folder / "two" / "self.png")
    assert refusal_of(source_of(folder), "two/gone.png").reason == Reason.MISSING
    assert refusal_of(source_of(folder), "two/self.png").reason == Reason.UNREADABLE


def test_a_link_to_a_file_is_read_as_that_file(folder: Path) -> None:
    target = next((folder / "two").iterdir())
    (folder / "two" / "link.png").symlink_to(target)
    source = source_of(folder)
    (link,) = (entry for entry in source.list_entries().entries if entry.path == "two/link.png")
    assert source.read(link, MAX_BYTES).content == target.read_bytes()
    assert link.version.startswith(f"{target.stat().st_size}-")


def test_links_to_folders_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "1.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "two" / "circle").symlink_to(folder)
    listing = listed(folder, pattern="**/*")
    assert "linked/1.png" in paths(listing)
    assert len(listing.entries) == 21


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_and_not_waited_on(folder: Path) -> None:
    os.mkfifo(folder / "two" / "pipe.png")
    refusal = refusal_of(source_of(folder), "two/pipe.png")
    assert (refusal.reason, refusal.detail) == (Reason.UNREADABLE, "not a regular file")


def test_files_that_cannot_be_used_are_refused_with_the_reason(folder: Path) -> None:
    write(folder, "two/gone.png")
    (folder / "two" / "empty.png").write_bytes(b"")
    (folder / "two" / "large.png").write_bytes(b"x" * 11)
    source = source_of(folder)
    gone = next(entry for entry in source.list_entries().entries if entry.path == "two/gone.png")
    (folder / "two" / "gone.png").unlink()
    with pytest.raises(Refusal, match="missing"):
        source.read(gone, MAX_BYTES)
    assert refusal_of(source, "two/empty.png").reason == Reason.EMPTY_FILE
    assert refusal_of(source, "two/large.png", max_bytes=10).reason == Reason.TOO_MANY_BYTES
    large = next(entry for entry in source.list_entries().entries if entry.path == "two/large.png")
    assert len(source.read(large, 11).content) == 11


def test_names_that_are_not_utf8_are_listed_and_read(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "two" / name).write_bytes(b"x")
    source = source_of(folder)
    (entry,) = (entry for entry in source.list_entries().entries if entry.path == f"two/{name}")
    assert source.read(entry, 10).content == b"x"
    assert len(fingerprint(source.list_entries())) == 64


def test_class_folder_whose_name_is_not_utf8_is_refused(folder: Path) -> None:
    write(folder, f"{os.fsdecode(b'caf' + bytes([0xE9]))}/1.png")
    with pytest.raises(ThawError, match="is not UTF-8 text; rename it"):
        listed(folder)


@pytest.mark.parametrize("character", ["\n", "\r"])
def test_class_folder_with_a_line_break_in_its_name_is_refused(folder: Path, character: str) -> None:
    write(folder, f"two{character}lines/image.png")
    with pytest.raises(ThawError, match="line break in it; rename it"):
        listed(folder)


def test_a_pattern_of_any_depth_takes_the_last_folder_for_the_class(folder: Path) -> None:
    write(folder, "2026/11/two/a.png", "loose.png")
    listing = listed(folder, pattern="**/*")
    assert {entry.label for entry in listing.entries if entry.path == "2026/11/two/a.png"} == {"two"}
    assert len(listing.entries) == 21
    assert [(item.path, item.reason) for item in listing.rejected] == [("loose.png", Reason.NO_LABEL)]


def test_placeholders_say_class_split_and_group(tmp_path: Path) -> None:
    write(tmp_path, "val/cats/tom_1.jpg", "training/dogs/rex_1.jpg", "Testing/dogs/x/y_z_2.jpg")
    listing = listed(tmp_path, pattern="{split}/{label}/**/{group}_*.jpg")
    assert {(entry.path, entry.label, entry.split, entry.group) for entry in listing.entries} == {
        ("val/cats/tom_1.jpg", "cats", "eval", "tom"),
        ("training/dogs/rex_1.jpg", "dogs", "train", "rex"),
        ("Testing/dogs/x/y_z_2.jpg", "dogs", "test", "y"),
    }


def test_a_folder_that_is_no_split_is_refused_with_what_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, "holdout/cats/1.jpg")
    with pytest.raises(ThawError, match=r"'holdout/cats/1.jpg', 'holdout' is no split; allowed: train, training, eval"):
        listed(tmp_path, pattern="{split}/{label}/*")


def test_split_patterns_say_which_split_a_file_belongs_to(folder: Path) -> None:
    write(folder, "train/cats/1.png", "val/cats/1.png", "test/a/b/cats/1.png")
    patterns = {"train": "train/*/*", "eval": "val/*/*", "test": "test/**/*"}
    listing = listed(folder, split_patterns=patterns)
    assert {(entry.path, entry.split, entry.label) for entry in listing.entries} == {
        ("train/cats/1.png", "train", "cats"),
        ("val/cats/1.png", "eval", "cats"),
        ("test/a/b/cats/1.png", "test", "cats"),
    }


def test_overlapping_patterns_are_refused_with_the_file_and_both_splits(folder: Path) -> None:
    with pytest.raises(ThawError, match=r"'two/.*' matches the patterns of both splits 'train' and 'test'"):
        listed(folder, split_patterns={"train": "*/*", "eval": "zéro/x", "test": "two/*"})


def test_other_classes_than_the_fixed_ones_are_rejected(folder: Path) -> None:
    listing = listed(folder, labels=("two", "zéro"))
    assert {entry.label for entry in listing.entries} == {"two", "zéro"}
    assert {(item.label, item.reason) for item in listing.rejected} == {("number one", Reason.UNKNOWN_LABEL)}
    assert len(listing.entries) + len(listing.rejected) == 20


@pytest.mark.parametrize(
    ("pattern", "path", "said"),
    [
        ("*/*.jpg", "a/b.jpg", {}),
        ("*/*.jpg", "a/b/c.jpg", None),
        ("**/*", "a", {}),
        ("a/**", "a/b/c", {}),
        ("a/**", "a", None),
        ("{label}/**/*", "cats/1", {"label": "cats"}),
        ("{label}/{label}_*", "cats/cats_1", {"label": "cats"}),
        ("{label}/{label}_*", "cats/dogs_1", None),
        ("[ab]/[!c]?", "a/xy", {}),
        ("[ab]/[!c]?", "a/cy", None),
        ("x[{]1}/*", "x{1}/a", {}),
        ("a.b/*", "axb/1", None),
        ("[]]/*", "]/1", {}),
        ("*/[!a]*", "x/", None),
        ("\\d/*", "1/1", None),
    ],
)
def test_patterns_match_whole_paths(pattern: str, path: str, said: dict[str, str] | None) -> None:
    assert PathPattern(pattern).match(path) == said


def rewrite(folder: Path) -> None:
    path = next((folder / "two").iterdir())
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])  # as long as before
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def grow(folder: Path) -> None:
    path = next((folder / "two").iterdir())
    before = path.stat()
    path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        grow,
        lambda folder: (folder / "two" / "new.png").write_text("x"),
        lambda folder: next((folder / "two").iterdir()).unlink(),
        lambda folder: next((folder / "two").iterdir()).rename(folder / "two" / "renamed.png"),
        lambda folder: next((folder / "two").iterdir()).rename(folder / "number one" / "moved.png"),
    ],
    ids=["same size", "same time", "added", "removed", "renamed", "moved"],
)
def test_fingerprint_differs_after_a_change(folder: Path, change: Callable[[Path], object]) -> None:
    before = fingerprint(listed(folder))
    assert fingerprint(listed(folder)) == before
    change(folder)
    assert fingerprint(listed(folder)) != before


def test_fingerprint_sees_all_that_is_told_of_an_entry() -> None:
    entry = Entry("a/1", "1")
    variants = [
        entry,
        Entry("a/1", "2"),
        Entry("a/1", "1", label="a"),
        Entry("a/1", "1", split="test"),
        Entry("a/1", "1", group="a"),
        Entry("a/1", "1", weight=2.0),
        Entry("a/1", "1", features=(("x", 1),)),
        Entry("a/1", "1", features=(("x", 1.0),)),
        Entry("a/1", "1", features=(("x", "1"),)),
    ]
    prints = [fingerprint(Listing((variant,))) for variant in variants]
    assert len({*prints, fingerprint(Listing((entry,), spans=("7",)))}) == len(variants) + 1
    assert fingerprint(Listing((Entry("a/1", "1", place=(3,)),))) == prints[0]


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=r"no folder '.*/missing' to read images from; set data.images"):
        listed(tmp_path / "missing")


def test_an_empty_folder_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=r"matches '\*/\*'; the folder is empty"):
        listed(tmp_path)


def test_photographs_without_class_folders_are_refused_with_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "cat.jpg")
    with pytest.raises(ThawError, match=r"the folder holds 'cat.jpg'; images must lie in a folder per class"):
        listed(tmp_path)


def test_empty_class_folders_are_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    with pytest.raises(ThawError, match=r"the folder holds 'cats', but they hold no such files"):
        listed(tmp_path)


def test_photographs_that_lie_deeper_are_refused_with_one_of_them(tmp_path: Path) -> None:
    write(tmp_path, "all/cats/1.jpg")
    with pytest.raises(ThawError, match=r"hold no such files; there is 'all/cats/1.jpg'"):
        listed(tmp_path)


def test_hidden_files_alone_are_refused_as_such(tmp_path: Path) -> None:
    write(tmp_path, "cats/.1.jpg")
    with pytest.raises(ThawError, match=r"only hidden files do, such as 'cats/.1.jpg'"):
        listed(tmp_path)


def test_a_source_survives_pickling(folder: Path) -> None:
    source = source_of(folder)
    listing = source.list_entries()
    again = pickle.loads(pickle.dumps(source))
    assert again.list_entries() == listing
    assert again.read(listing.entries[0], MAX_BYTES) == source.read(listing.entries[0], MAX_BYTES)


def test_many_threads_read_at_once(folder: Path) -> None:
    source = source_of(folder)
    entries = source.list_entries().entries * 20
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda entry: source.read(entry, MAX_BYTES).content, entries))
    assert contents == [(folder / entry.path).read_bytes() for entry in entries]


def test_opening_a_source_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, components.image_example_gen.sources.looking;"
        "print([n for n in ('tensorflow', 'fsspec', 's3fs', 'gcsfs', 'numpy', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
