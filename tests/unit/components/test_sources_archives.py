"""Photographs in zip and tar archives, read in place; and archives that are broken or mean harm."""

import bz2
import io
import pickle
import shutil
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Listing, Source
from components.image_example_gen.sources.opening import fingerprint, open_source
from trainer.errors import ThawError

MAX_BYTES = 100_000
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
FORMATS = {".zip": "zip", ".tar": "tar", ".tar.gz": "gztar", ".tgz": "gztar", ".tar.bz2": "bztar", ".tar.xz": "xztar"}


@pytest.fixture
def folder(make_folder: Callable[..., Path]) -> Path:
    return make_folder(num_files=20)


def packed(folder: Path, suffix: str) -> Path:
    made = Path(shutil.make_archive(str(folder.parent / "packed"), FORMATS[suffix], folder))
    return made.rename(folder.parent / f"photo graphs ü{suffix}")


def source_of(place: Path, **settings: Any) -> Source:
    return open_source(IngestionSettings.model_validate({"images": str(place), **settings}))


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_of(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of the same name
        for name, content in members:
            archive.writestr(name, content, method)
    return path


def rejections(listing: Listing) -> list[tuple[str, Reason, str]]:
    return [(item.path, item.reason, item.detail) for item in listing.rejected]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_holds_what_its_folder_held(folder: Path, suffix: str) -> None:
    source = source_of(packed(folder, suffix))
    listing = source.list_entries()
    in_folder = source_of(folder).list_entries()
    assert [(entry.path, entry.label) for entry in listing.entries] == [
        (entry.path, entry.label) for entry in in_folder.entries
    ]
    again = pickle.loads(pickle.dumps(source))  # in which nothing was listed
    for entry in listing.entries:
        assert source.read(entry, MAX_BYTES).content == (folder / entry.path).read_bytes()
        assert again.read(entry, MAX_BYTES).content == (folder / entry.path).read_bytes()
    assert fingerprint(again.list_entries()) == fingerprint(listing)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_many_threads_read_at_once(folder: Path, suffix: str) -> None:
    source = source_of(packed(folder, suffix))
    entries = source.list_entries().entries * 20
    fresh = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda entry: fresh.read(entry, MAX_BYTES).content, entries))
    assert contents == [(folder / entry.path).read_bytes() for entry in entries]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_nothing_is_left_on_the_disk(
    folder: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    source = source_of(packed(folder, suffix))
    before = sorted(tmp_path.rglob("*"))
    for entry in source.list_entries().entries:
        source.read(entry, MAX_BYTES)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_fingerprint_differs_after_a_change(folder: Path, suffix: str) -> None:
    before = fingerprint(source_of(packed(folder, suffix)).list_entries())
    changed = next((folder / "two").iterdir())
    changed.write_bytes(changed.read_bytes()[::-1])
    assert fingerprint(source_of(packed(folder, suffix)).list_entries()) != before


def test_a_zip_that_is_packed_again_keeps_its_fingerprint(folder: Path) -> None:
    before = fingerprint(source_of(packed(folder, ".zip")).list_entries())
    assert fingerprint(source_of(packed(folder, ".zip")).list_entries()) == before


def test_names_that_leave_a_tar_are_rejected_and_links_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    link = tarfile.TarInfo("cats/link.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
    hard = tarfile.TarInfo("cats/hard.jpg")
    hard.type, hard.linkname = tarfile.LNKTYPE, "cats/1.jpg"
    pipe = tarfile.TarInfo("cats/pipe.jpg")
    pipe.type = tarfile.FIFOTYPE
    names = ["cats/1.jpg", "./cats/2.jpg", "../secret", "cats/../../secret", f"{tmp_path}/secret"]
    members = [(tarfile.TarInfo(name), b"x") for name in names]
    archive = tar_of(tmp_path / "a.tar", *members, (link, b""), (hard, b""), (pipe, b""))
    listing = source_of(archive, pattern="**/*").list_entries()
    assert sorted(entry.path for entry in listing.entries) == ["cats/1.jpg", "cats/2.jpg"]
    kind, out = "a link, pipe or device in the archive; these are not followed", "its name leads out of the archive"
    assert rejections(listing) == sorted(
        [
            ("../secret", Reason.UNREADABLE, out),
            ("cats/../../secret", Reason.UNREADABLE, out),
            (f"{tmp_path}/secret", Reason.UNREADABLE, out),
            ("cats/hard.jpg", Reason.UNREADABLE, kind),
            ("cats/link.jpg", Reason.UNREADABLE, kind),
            ("cats/pipe.jpg", Reason.UNREADABLE, kind),
        ]
    )


def test_names_that_leave_a_zip_are_rejected_and_links_not_followed(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cats/link.jpg")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive = zip_of(tmp_path / "a.zip", ("cats/1.jpg", b"x"), ("../secret", b"x"), (link, b"/etc/hostname"))
    listing = source_of(archive, pattern="**/*").list_entries()
    assert [entry.path for entry in listing.entries] == ["cats/1.jpg"]
    assert rejections(listing) == [
        ("../secret", Reason.UNREADABLE, "its name leads out of the archive"),
        ("cats/link.jpg", Reason.UNREADABLE, "a link or device in the archive; these are not followed"),
    ]


def test_of_two_members_of_the_same_name_the_last_is_read_and_the_first_told(tmp_path: Path) -> None:
    old, new = tarfile.TarInfo("cats/1.jpg"), tarfile.TarInfo("cats/1.jpg")
    for archive in (
        tar_of(tmp_path / "a.tar", (old, b"old"), (new, b"new")),
        zip_of(tmp_path / "a.zip", ("cats/1.jpg", b"old"), ("cats/1.jpg", b"new")),
    ):
        source = source_of(archive)
        (entry,) = source.list_entries().entries
        assert source.read(entry, 10).content == b"new"
        assert rejections(source.list_entries()) == [
            ("cats/1.jpg", Reason.UNREADABLE, "a later member of the archive has the same name")
        ]


def test_names_in_a_zip_are_read_as_the_tools_of_the_time_wrote_them(tmp_path: Path) -> None:
    windows = zipfile.ZipInfo("cats\\1.jpg")
    windows.create_system = 0
    archive = zip_of(tmp_path / "a.zip", (windows, b"1"), ("zéro/2.jpg", b"2"))
    # As Info-ZIP and macOS write it: UTF-8, but the flag that says so is not set.
    archive.write_bytes(archive.read_bytes().replace(struct.pack("<HH", 0x800, 8), struct.pack("<HH", 0, 8)))
    source = source_of(archive)
    found = {entry.path: source.read(entry, 10).content for entry in source.list_entries().entries}
    assert found == {"cats/1.jpg": b"1", "zéro/2.jpg": b"2"}


def test_what_a_mac_adds_to_a_zip_is_ignored(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("cats/1.jpg", b"x"), ("__MACOSX/cats/._1.jpg", b"x"))
    listing = source_of(archive, pattern="**/*").list_entries()
    assert listing.ignored == ("__MACOSX/cats/._1.jpg",)


def only_refusal(source: Source, max_bytes: int = MAX_BYTES) -> Refusal:
    (entry,) = source.list_entries().entries
    with pytest.raises(Refusal) as caught:
        source.read(entry, max_bytes)
    return caught.value


@pytest.mark.parametrize("declared", [None, 100])
def test_a_member_that_is_larger_than_allowed_is_stopped_whatever_it_declares(
    tmp_path: Path, declared: int | None
) -> None:
    import tracemalloc

    archive = zip_of(tmp_path / "bomb.zip", ("cats/1.jpg", bytes(300_000_000)))
    if declared is not None:
        content = archive.read_bytes()
        archive.write_bytes(content.replace(struct.pack("<I", 300_000_000), struct.pack("<I", declared)))
    tracemalloc.start()
    refusal = only_refusal(source_of(archive), max_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.reason == Reason.TOO_MANY_BYTES
    assert peak < 10_000_000


def test_members_that_cannot_be_read_are_refused_each(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("cats/1.jpg", b"photograph" * 10), method=zipfile.ZIP_STORED)
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"photograph", b"photogrAph", 1))
    refusal = only_refusal(source_of(archive))
    assert (refusal.reason, refusal.detail) == (
        Reason.UNREADABLE,
        "damaged in the archive: size or checksum is wrong",
    )
    encrypted = content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    assert encrypted != content
    archive.write_bytes(encrypted)
    assert only_refusal(source_of(archive)).detail == "encrypted in the archive"
    zip_of(archive, ("cats/1.jpg", b"x" * 100), method=zipfile.ZIP_BZIP2)
    assert only_refusal(source_of(archive)).detail == "compressed in the archive by method 12; deflate is read"
    zip_of(archive, ("cats/1.jpg", bytes(range(256))))
    deflated = bytearray(archive.read_bytes())
    deflated[45:60] = b"\xff" * 15
    archive.write_bytes(deflated)
    assert only_refusal(source_of(archive)).reason == Reason.UNREADABLE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_that_is_cut_off_is_told_in_words(folder: Path, suffix: str) -> None:
    archive = packed(folder, suffix)
    content = archive.read_bytes()
    for length in (0, 10, len(content) // 2):
        archive.write_bytes(content[:length])
        with pytest.raises(ThawError, match=r"archive '.*photo graphs ü.*' is broken: .*; make or fetch it again"):
            source_of(archive).list_entries()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_no_archive_is_told_in_words(tmp_path: Path, suffix: str) -> None:
    place = tmp_path / f"a{suffix}"
    place.write_bytes(b"not an archive at all " * 100)
    with pytest.raises(ThawError, match="archive"):
        source_of(place).list_entries()
    place.unlink()
    with pytest.raises(ThawError, match=r"there is no archive '.*'"):
        source_of(place).list_entries()


def test_a_tar_that_is_damaged_in_the_middle_loses_nothing_silently(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", *((tarfile.TarInfo(f"cats/{n}.jpg"), b"x" * 600) for n in range(4)))
    content = bytearray(archive.read_bytes())
    third = content.index(b"cats/2.jpg")
    content[third + 20] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(ThawError, match=f"is broken: damaged at byte {third}"):
        source_of(archive).list_entries()
    archive.write_bytes(archive.read_bytes()[:third])  # between two members
    with pytest.raises(ThawError, match=f"is broken: cut off at byte {third}"):
        source_of(archive).list_entries()


def test_a_tar_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar", (tarfile.TarInfo("cats/1.jpg"), bytes(2_000_000)))
    (tmp_path / "a.tar.bz2").write_bytes(bz2.compress(archive.read_bytes()))
    refusal = only_refusal(source_of(tmp_path / "a.tar.bz2"), max_bytes=1_000_000)
    assert refusal.reason == Reason.TOO_MANY_BYTES


def test_an_archive_without_photographs_is_told_with_what_it_holds(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", ("all/cats/1.jpg", b"x"))
    with pytest.raises(ThawError, match=r"the archive holds 'all', but they hold no such files; there is 'all/cats/1"):
        source_of(archive).list_entries()


def test_a_folder_that_is_called_like_an_archive_is_a_folder(folder: Path) -> None:
    renamed = folder.rename(folder.parent / "photos.zip")
    assert len(source_of(renamed).list_entries().entries) == 20
