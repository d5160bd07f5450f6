"""Photographs in buckets, read from a server that speaks S3; gs:// is in test_google_cloud_storage.py."""

import io
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources import buckets
from components.image_example_gen.sources.entry import Listing, Source
from components.image_example_gen.sources.looking import problem_at_a_glance, some_local_files
from components.image_example_gen.sources.opening import fingerprint, open_source
from trainer.errors import ThawError

MAX_BYTES = 100_000
FILES = {
    f"{label}/{name}": f"{label} {name}".encode() * 9
    for label in ("cats", "dögs")
    for name in ("1.jpg", "a b+ü?#%.jpg")
}


@pytest.fixture
def bucket(s3_server: str, request: pytest.FixtureRequest) -> str:
    """URL of an empty bucket."""
    name = f"bucket-{abs(hash(request.node.name))}"
    buckets.file_system("s3://").mkdir(name)
    return f"s3://{name}"


def put(url: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        buckets.file_system("s3://").pipe_file(f"{url}/{name}".removeprefix("s3://"), content)


def source_of(url: str, **settings: Any) -> Source:
    return open_source(IngestionSettings.model_validate({"images": url, **settings}))


def contents(source: Source, listing: Listing) -> dict[str, bytes]:
    return {entry.path: source.read(entry, MAX_BYTES).content for entry in listing.entries}


@pytest.mark.slow
@pytest.mark.parametrize("below", ["", "/photos/2026"])
def test_a_bucket_holds_class_folders(bucket: str, below: str) -> None:
    put(bucket + below, {**FILES, "cats/.hidden": b"x", "cats/": b""})
    put(bucket + "/photos", {"elsewhere/1.jpg": b"x"} if below else {})
    source = source_of(bucket + below)
    listing = source.list_entries()
    assert contents(source, listing) == FILES
    assert {entry.label for entry in listing.entries} == {"cats", "dögs"}
    assert listing.ignored == ("cats/.hidden",)


@pytest.mark.slow
def test_a_source_survives_pickling_and_many_threads(bucket: str) -> None:
    put(bucket, FILES)
    source = pickle.loads(pickle.dumps(source_of(bucket)))
    listing = source.list_entries()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda entry: source.read(entry, MAX_BYTES).content, listing.entries * 10))
    assert read == [FILES[entry.path] for entry in listing.entries * 10]


@pytest.mark.slow
def test_fingerprint_differs_after_a_change(bucket: str) -> None:
    put(bucket, FILES)
    before = fingerprint(source_of(bucket).list_entries())
    assert fingerprint(source_of(bucket).list_entries()) == before
    put(bucket, {"cats/1.jpg": FILES["cats/1.jpg"][::-1]})
    changed = fingerprint(source_of(bucket).list_entries())
    put(bucket, {"cats/2.jpg": b"new"})
    assert len({before, changed, fingerprint(source_of(bucket).list_entries())}) == 3


@pytest.mark.slow
def test_files_that_cannot_be_used_are_refused_with_the_reason(bucket: str) -> None:
    put(bucket, {"cats/empty.jpg": b"", "cats/gone.jpg": b"x", "cats/large.jpg": b"x" * 11})
    source = source_of(bucket)
    entries = source.list_entries().entries
    buckets.file_system("s3://").rm_file(f"{bucket}/cats/gone.jpg")
    found = {}
    for entry in entries:
        with pytest.raises(Refusal) as caught:
            source.read(entry, 10)
        found[entry.path] = caught.value.reason
    assert found == {
        "cats/empty.jpg": Reason.EMPTY_FILE,
        "cats/gone.jpg": Reason.MISSING,
        "cats/large.jpg": Reason.TOO_MANY_BYTES,
    }


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_an_archive_in_a_bucket_is_read_in_place(bucket: str, tmp_path: Path, suffix: str) -> None:
    for name, content in FILES.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    form = {"zip": "zip", "tar": "tar", "tar.gz": "gztar"}[suffix]
    made = Path(shutil.make_archive(str(tmp_path / "made"), form, tmp_path / "in"))
    put(bucket, {f"all photos.{suffix}": made.read_bytes()})
    source = source_of(f"{bucket}/all photos.{suffix}")
    listing = source.list_entries()
    assert contents(source, listing) == FILES
    again = pickle.loads(pickle.dumps(source))
    assert contents(again, listing) == FILES
    with pytest.raises(ThawError, match=r"there is no archive 's3://.*/nix.zip'"):
        source_of(f"{bucket}/nix.zip").list_entries()


@pytest.mark.slow
def test_a_manifest_in_a_bucket_lists_its_photographs(bucket: str) -> None:
    table = "file,class,set\ncats/1.jpg,felix,train\nnix.jpg,felix,test\n"
    put(bucket, {**FILES, "meta/all.csv": table.encode()})
    manifest = {"file": "meta/all.csv", "path": "file", "label": "class", "split": "set"}
    for file in ("meta/all.csv", f"{bucket}/meta/all.csv"):
        source = source_of(bucket, manifest={**manifest, "file": file})
        entries = {entry.path: entry for entry in source.list_entries().entries}
        assert {entry.path: (entry.label, entry.split) for entry in entries.values()} == {
            "cats/1.jpg": ("felix", "train"),
            "nix.jpg": ("felix", "test"),
        }
        assert source.read(entries["cats/1.jpg"], MAX_BYTES).content == FILES["cats/1.jpg"]
        with pytest.raises(Refusal, match="missing"):
            source.read(entries["nix.jpg"], MAX_BYTES)


@pytest.mark.slow
def test_records_in_a_bucket_are_read(bucket: str, tmp_path: Path) -> None:
    import tensorflow as tf

    values = {"image": b"pixels", "label": b"cat"}
    features = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for name, v in values.items()}
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for _ in range(3):
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    put(bucket, {"x/a.tfrecord": (tmp_path / "a.tfrecord").read_bytes()})
    source = source_of(bucket, records={"pattern": "**/*.tfrecord"})
    listing = source.list_entries()
    assert contents(source, listing) == {f"x/a.tfrecord#{number}": b"pixels" for number in range(3)}


@pytest.mark.slow
def test_spans_in_a_bucket_are_resolved(bucket: str) -> None:
    for date in ("2026-11-20", "2026-11-21", "2026-11-22"):
        put(bucket, {f"in/{date}/cats/1.jpg": date.encode()})
    source = source_of(f"{bucket}/in/{{YYYY}}-{{MM}}-{{DD}}", span={"last": 2})
    listing = source.list_entries()
    assert listing.spans == ("2026-11-21", "2026-11-22")
    assert contents(source, listing) == {f"{date}/cats/1.jpg": date.encode() for date in listing.spans}


@pytest.mark.slow
def test_a_glance_at_a_bucket_lists_nothing_and_says_what_is_missing(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, {"photos/cats/1.jpg": b"x"})
    monkeypatch.setattr(buckets.BucketStore, "_objects", lambda self: pytest.fail("listed"))

    def glance(url: str, **more: Any) -> str:
        return problem_at_a_glance(IngestionSettings.model_validate({"images": url, **more}))

    assert glance(f"{bucket}/photos") == ""
    assert f"there is nothing at '{bucket}/nix'" in glance(f"{bucket}/nix")
    assert f"there is nothing at '{bucket}/nix.zip'" in glance(f"{bucket}/nix.zip")
    assert f"there is nothing at '{bucket}/photos/a.csv'" in glance(f"{bucket}/photos", manifest={"file": "a.csv"})
    assert some_local_files(IngestionSettings(images=f"{bucket}/photos"), 3) == []


@pytest.mark.slow
def test_what_is_not_there_is_told_in_words(bucket: str) -> None:
    with pytest.raises(ThawError, match=r"there is nothing in 's3://.*/nix'; set data.images to what holds"):
        source_of(f"{bucket}/nix").list_entries()
    with pytest.raises(ThawError, match=r"there is no bucket for 's3://nix-nix/a'"):
        source_of("s3://nix-nix/a").list_entries()


@pytest.mark.slow
def test_a_server_that_does_not_answer_fails_the_run_and_refuses_no_photograph(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, FILES)
    source = source_of(bucket)
    entry = source.list_entries().entries[0]
    unreachable = buckets.file_system("s3://").__class__(
        endpoint_url="http://127.0.0.1:9", config_kwargs={"retries": {"max_attempts": 0}}, skip_instance_cache=True
    )
    unreachable.retries = 1
    monkeypatch.setattr(buckets, "file_system", lambda url: unreachable)
    with pytest.raises(ThawError, match=r"cannot read 's3://.*' at http://127.0.0.1:.*; check the network"):
        source.read(entry, MAX_BYTES)
    with pytest.raises(ThawError, match="check the network and the credentials"):
        source.list_entries()


@pytest.mark.slow
def test_google_cloud_storage_is_opened_through_its_own_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec
    import gcsfs

    # With credentials of nobody, it does not look for them on the network.
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    assert isinstance(buckets.file_system("gs://bucket/photos"), gcsfs.GCSFileSystem)


@pytest.mark.parametrize("url", ["http://host/photos", "file:///photos", "azure://x/y"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(ThawError, match=r"it must be a local path, or begin with s3:// or gs://"):
        source_of(url)


def test_ranges_of_an_object_are_buffered() -> None:
    from components.image_example_gen.sources.access import open_stream

    asked: list[tuple[int, int]] = []

    class Counting:
        buffer_bytes = 1000

        def num_bytes(self) -> int:
            return 5000

        def version(self) -> str:
            return ""

        def read_at(self, offset: int, length: int) -> bytes:
            asked.append((offset, length))
            return bytes(length)

    stream = open_stream(Counting())
    for place in range(0, 5000, 100):
        stream.seek(place)
        assert len(stream.read(12)) == 12
    assert len(asked) <= 6
    assert stream.seek(0, io.SEEK_END) == 5000
