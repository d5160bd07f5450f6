"""Which files are read, in which order, and when the cache is told that they have changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.image_example_gen.source import Listing, fingerprint, label_of, list_images
from trainer.errors import ThawError

ALL = {"all": "*/*"}


@pytest.fixture
def folder(make_folder: Callable[..., Path]) -> Path:
    return make_folder(num_files=20)


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.files]


def test_lists_every_file_once_with_its_class_folder(folder: Path, digit_files: list[tuple[bytes, str]]) -> None:
    listing = list_images(str(folder), ALL)
    expected = {f"{label}/{number} ü.png": label for number, (_, label) in enumerate(digit_files[:20])}
    assert {file.path: file.label for file in listing.files} == expected
    assert len(listing.files) == 20
    assert all(file.input_split == "all" for file in listing.files)
    assert all(file.num_bytes == (folder / file.path).stat().st_size for file in listing.files)


def test_the_order_mixes_the_classes_and_does_not_depend_on_the_file_system(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = list_images(str(folder), ALL)
    labels = [file.label for file in listing.files]
    assert labels != sorted(labels)
    assert any(labels[index] != labels[index + 1] for index in range(5))
    original = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: reversed(list(original(self, pattern))))
    assert list_images(str(folder), ALL) == listing


def test_hidden_files_are_ignored_but_listed(folder: Path) -> None:
    (folder / "two" / ".DS_Store").write_text("x")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "old.png").write_text("x")
    listing = list_images(str(folder), ALL)
    assert listing.ignored == (".trash/old.png", "two/.DS_Store")
    assert not {path for path in paths(listing) if "/." in path or path.startswith(".")}


def test_folders_are_not_files(folder: Path) -> None:
    (folder / "two" / "sub.png").mkdir()
    assert "two/sub.png" not in paths(list_images(str(folder), ALL))


def test_a_dangling_link_is_not_lost(folder: Path) -> None:
    (folder / "two" / "gone.png").symlink_to(folder / "nowhere.png")
    listing = list_images(str(folder), ALL)
    assert "two/gone.png" in [*paths(listing), *listing.ignored]


def test_a_link_to_a_file_is_read_as_that_file(folder: Path) -> None:
    target = next((folder / "two").iterdir())
    (folder / "two" / "link.png").symlink_to(target)
    listing = list_images(str(folder), ALL)
    (link,) = (file for file in listing.files if file.path == "two/link.png")
    assert link.num_bytes == target.stat().st_size


def test_fingerprint_is_the_same_for_a_second_listing(folder: Path) -> None:
    assert fingerprint(list_images(str(folder), ALL)) == fingerprint(list_images(str(folder), ALL))


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
    before = fingerprint(list_images(str(folder), ALL))
    change(folder)
    assert fingerprint(list_images(str(folder), ALL)) != before


def test_fingerprint_differs_when_a_file_changes_its_split(folder: Path) -> None:
    one = list_images(str(folder), {"train": "two/*", "test": "zéro/*"})
    other = list_images(str(folder), {"test": "two/*", "train": "zéro/*"})
    assert fingerprint(one) != fingerprint(other)


def test_split_patterns_say_which_split_a_file_belongs_to(folder: Path) -> None:
    for split in ("train", "val"):
        (folder / split / "cats").mkdir(parents=True)
        (folder / split / "cats" / "1.png").write_text(split)
    listing = list_images(str(folder), {"train": "train/*/*", "eval": "val/*/*"})
    assert {(file.path, file.input_split, file.label) for file in listing.files} == {
        ("train/cats/1.png", "train", "cats"),
        ("val/cats/1.png", "eval", "cats"),
    }


def test_overlapping_patterns_are_refused_with_the_file_and_both_splits(folder: Path) -> None:
    with pytest.raises(ThawError, match=r"'two/.*' matches the patterns of both splits 'train' and 'test'"):
        list_images(str(folder), {"train": "*/*", "test": "two/*"})


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=r"no folder '.*/missing' to read images from; set data.images"):
        list_images(str(tmp_path / "missing"), ALL)


def test_an_empty_folder_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=r"matches '\*/\*'; the folder is empty"):
        list_images(str(tmp_path), ALL)


def test_photographs_without_class_folders_are_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_text("x")
    with pytest.raises(ThawError, match=r"the folder holds 'cat.jpg'; images must lie in a folder per class"):
        list_images(str(tmp_path), ALL)


def test_empty_class_folders_are_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    with pytest.raises(ThawError, match=r"the folder holds 'cats', but they hold no such files"):
        list_images(str(tmp_path), ALL)


def test_the_label_is_the_folder_that_holds_the_file() -> None:
    assert label_of("train/big cats/1.jpg") == "big cats"


@pytest.mark.parametrize("character", ["\n", "\r"])
def test_class_folder_with_a_line_break_in_its_name_is_refused(folder: Path, character: str) -> None:
    (folder / f"two{character}lines").mkdir()
    (folder / f"two{character}lines" / "image.png").write_text("x")
    with pytest.raises(ThawError, match="line break in it; rename it"):
        list_images(str(folder), ALL)
