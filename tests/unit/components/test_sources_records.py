"""TFRecord files of `tf.Example`, as TensorFlow writes them, and damaged ones."""

import gzip
import io
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen.refusals import Reason, Refusal
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Listing, Photograph, Source
from components.image_example_gen.sources.opening import fingerprint, open_source

MAX_BYTES = 100_000


def example(**values: Any) -> bytes:
    import tensorflow as tf

    features = {}
    for name, value in values.items():
        many = value if isinstance(value, list) else [value]
        if isinstance(many[0], float):
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=many))
        elif isinstance(many[0], int):
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=many))
        else:
            encoded = [item.encode() if isinstance(item, str) else item for item in many]
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    serialized: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return serialized


def write(path: Path, *records: bytes, compression: str = "") -> Path:
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return path


def source_of(place: Path, labels: tuple[str, ...] | None = None, **records: Any) -> Source:
    return open_source(IngestionSettings.model_validate({"images": str(place), "labels": labels, "records": records}))


def read_all(source: Source, max_bytes: int = MAX_BYTES) -> dict[str, Photograph | Refusal]:
    found: dict[str, Photograph | Refusal] = {}
    for entry in source.list_entries().entries:
        try:
            found[entry.path] = source.read(entry, max_bytes)
        except Refusal as refusal:
            found[entry.path] = refusal
    return found


def only(source: Source) -> Photograph:
    ((_, found),) = read_all(source).items()
    assert isinstance(found, Photograph), found
    return found


def only_refusal(source: Source, max_bytes: int = MAX_BYTES) -> tuple[Reason, str]:
    ((_, found),) = read_all(source, max_bytes).items()
    assert isinstance(found, Refusal)
    return found.reason, found.detail


def rejections(listing: Listing) -> list[tuple[str, Reason, str]]:
    return [(item.path, item.reason, item.detail) for item in listing.rejected]


def test_records_are_listed_without_labels_and_read_with_them(tmp_path: Path) -> None:
    write(tmp_path / "a ü.tfrecord", example(image=b"1", label="cat"), example(image=b"2", label="dög"))
    write(tmp_path / "b.tfrecord-00000-of-00001", example(image=b"3", label=7))
    source = source_of(tmp_path)
    listing = source.list_entries()
    assert sorted(entry.path for entry in listing.entries) == [
        "a ü.tfrecord#0",
        "a ü.tfrecord#1",
        "b.tfrecord-00000-of-00001#0",
    ]
    assert {entry.label for entry in listing.entries} == {None}
    found = read_all(source)
    assert {
        path: (photograph.entry.label, photograph.content)
        for path, photograph in found.items()
        if isinstance(photograph, Photograph)
    } == {
        "a ü.tfrecord#0": ("cat", b"1"),
        "a ü.tfrecord#1": ("dög", b"2"),
        "b.tfrecord-00000-of-00001#0": ("7", b"3"),
    }


def test_the_mapping_says_which_feature_means_what(tmp_path: Path) -> None:
    values = {"image/encoded": b"x", "image/class": 1, "set": "validation", "patient": 12, "w": 0.5, "site": "north"}
    write(tmp_path / "a.tfrecord", example(**values, age=7, height=1.5))
    columns = {"image": "image/encoded", "label": "image/class", "split": "set", "group": "patient", "weight": "w"}
    names = {"label_names": ["cat", "dog"], "features": ["site", "age", "height", "absent"]}
    entry = only(source_of(tmp_path, **columns, **names)).entry
    assert (entry.path, entry.label, entry.split, entry.group, entry.weight) == (
        "a.tfrecord#0",
        "dog",
        "eval",
        "12",
        0.5,
    )
    assert entry.features == (("age", 7), ("height", 1.5), ("site", "north"))


def test_the_path_may_say_class_and_split(tmp_path: Path) -> None:
    write(tmp_path / "val" / "cats" / "1.tfrecord", example(image=b"x", label="no"))
    write(tmp_path / "train" / "dogs" / "1.tfrecord", example(image=b"y"))
    source = source_of(tmp_path, pattern="{split}/{label}/*.tfrecord", label=None)
    assert {(entry.path, entry.label, entry.split) for entry in source.list_entries().entries} == {
        ("val/cats/1.tfrecord#0", "cats", "eval"),
        ("train/dogs/1.tfrecord#0", "dogs", "train"),
    }
    assert all(isinstance(found, Photograph) for found in read_all(source).values())
    known = source_of(tmp_path, labels=("cats", "cows"), pattern="{split}/{label}/*.tfrecord")
    assert [reason for _, reason, _ in rejections(known.list_entries())] == [Reason.UNKNOWN_LABEL]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [bytes, int, float])
def test_raw_pixels_become_a_png_with_the_same_pixels(tmp_path: Path, channels: int, kind: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    value = pixels.tobytes() if kind is bytes else [kind(number) for number in pixels.ravel()]
    write(tmp_path / "a.tfrecord", example(image=value, label="a"))
    content = only(source_of(tmp_path, shape=[5, 7, channels])).content
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image).reshape(5, 7, channels), pixels)


@pytest.mark.parametrize(
    ("values", "columns", "reason", "detail"),
    [
        (
            {"imgae": b"x", "label": "a"},
            {},
            Reason.BAD_VALUE,
            "no feature 'image'; nearest: 'imgae'; there are: 'imgae', ",
        ),
        ({"image": b"", "label": "a"}, {}, Reason.EMPTY_FILE, "0 bytes"),
        (
            {"image": [1, 2], "label": "a"},
            {},
            Reason.BAD_VALUE,
            "'image' has 2 values of int; an encoded image is neede",
        ),
        ({"image": b"x"}, {}, Reason.NO_LABEL, "no feature 'label'; there are: 'image'"),
        ({"image": b"x", "label": ""}, {}, Reason.NO_LABEL, "'label' is empty"),
        ({"image": b"x", "label": b"\xff"}, {}, Reason.BAD_VALUE, "'label' is not UTF-8 text"),
        ({"image": b"x", "label": "a\nb"}, {}, Reason.BAD_VALUE, "the label 'a\\nb' has a line break in it"),
        ({"image": b"x", "label": ["a", "b"]}, {}, Reason.BAD_VALUE, "'label' has 2 values; one is needed"),
        ({"image": b"x", "label": 0.5}, {}, Reason.BAD_VALUE, "the label 0.5 is not a whole number or text"),
        ({"image": b"x", "label": 2}, {"label_names": ["a", "b"]}, Reason.BAD_VALUE, "the label 2 is none of 0 to 1"),
        ({"image": b"x", "label": -1}, {"label_names": ["a", "b"]}, Reason.BAD_VALUE, "the label -1 is none of 0 to 1"),
        ({"image": b"x", "label": "a", "s": "x"}, {"split": "s"}, Reason.BAD_VALUE, "'x' is no split; allowed: train,"),
        ({"image": b"x", "label": "a"}, {"weight": "w"}, Reason.BAD_VALUE, "'w' has 0 values; one is needed"),
        ({"image": b"x", "label": "a", "w": -1.0}, {"weight": "w"}, Reason.BAD_VALUE, "the weight '-1.0' is not a num"),
        (
            {"image": b"xyz", "label": "a"},
            {"shape": [2, 2, 1]},
            Reason.BAD_VALUE,
            "3 raw values where data.records.shap",
        ),
        ({"image": [0, 256], "label": "a"}, {"shape": [1, 2, 1]}, Reason.BAD_VALUE, "raw pixels must be whole numbers"),
        (
            {"image": [0.5, 1.0], "label": "a"},
            {"shape": [1, 2, 1]},
            Reason.BAD_VALUE,
            "raw pixels must be whole number",
        ),
        (
            {"image": [float("nan"), 1.0], "label": "a"},
            {"shape": [1, 2, 1]},
            Reason.BAD_VALUE,
            "raw pixels must be whole number",
        ),
    ],
)
def test_records_that_cannot_be_used_are_refused_with_the_reason(
    tmp_path: Path, values: dict[str, Any], columns: dict[str, Any], reason: Reason, detail: str
) -> None:
    write(tmp_path / "a.tfrecord", example(**values))
    found, text = only_refusal(source_of(tmp_path, **columns))
    assert found == reason
    assert text.startswith(detail)


def test_a_record_that_is_no_example_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", b"\xff\xff\xff no example")
    assert only_refusal(source_of(tmp_path)) == (Reason.CANNOT_BE_DECODED, "the record is not a tf.Example")


def test_a_record_that_is_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", example(image=b"x" * 200, label="a"))
    assert only_refusal(source_of(tmp_path), max_bytes=199)[0] == Reason.TOO_MANY_BYTES


def three_records(path: Path, compression: str = "") -> Path:
    records = [example(image=bytes([number]) * 50, label="a") for number in range(3)]
    return write(path, *records, compression=compression)


def second_record(path: Path) -> int:
    return (path.stat().st_size) // 3


def test_data_that_was_changed_is_refused_and_the_rest_read(tmp_path: Path) -> None:
    path = three_records(tmp_path / "a.tfrecord")
    content = bytearray(path.read_bytes())
    content[second_record(path) + 40] ^= 1
    path.write_bytes(content)
    found = read_all(source_of(tmp_path))
    refusal = found["a.tfrecord#1"]
    assert isinstance(refusal, Refusal)
    assert refusal.reason == Reason.UNREADABLE
    assert refusal.detail == f"the checksum of the record at byte {second_record(path)} is wrong"
    assert sum(isinstance(item, Photograph) for item in found.values()) == 2


@pytest.mark.parametrize("place", range(12))
def test_a_damaged_length_ends_the_file_with_one_rejection_that_says_where(tmp_path: Path, place: int) -> None:
    path = three_records(tmp_path / "a.tfrecord")
    content = bytearray(path.read_bytes())
    offset = second_record(path)
    content[offset + place] ^= 0x40
    path.write_bytes(content)
    listing = source_of(tmp_path).list_entries()
    assert [entry.path for entry in listing.entries] == ["a.tfrecord#0"]
    detail = f"damaged at byte {offset}; what follows is not read"
    assert rejections(listing) == [("a.tfrecord#1", Reason.UNREADABLE, detail)]


def test_a_file_that_is_cut_off_anywhere_keeps_its_whole_records(tmp_path: Path) -> None:
    path = three_records(tmp_path / "a.tfrecord")
    content = path.read_bytes()
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        listing = source_of(tmp_path).list_entries()
        num_whole, rest = divmod(length, second_record_of(content))
        assert len(listing.entries) == num_whole
        assert len(listing.rejected) == (1 if rest else 0)


def second_record_of(content: bytes) -> int:
    return len(content) // 3


def test_what_is_no_tfrecord_at_all_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord").write_text("nothing of that kind")
    (tmp_path / "b.tfrecord").symlink_to(tmp_path / "nowhere")
    assert rejections(source_of(tmp_path).list_entries()) == [
        ("a.tfrecord#0", Reason.UNREADABLE, "damaged at byte 0; what follows is not read"),
        ("b.tfrecord#0", Reason.UNREADABLE, "No such file or directory"),
    ]


def test_compressed_records_are_read_after_pickling_from_many_threads(tmp_path: Path) -> None:
    for number in range(3):
        records = [example(image=f"{number}.tfrecord.gz#{n}".encode() * (number + 1), label="a") for n in range(3)]
        write(tmp_path / f"{number}.tfrecord.gz", *records, compression="GZIP")
    source = source_of(tmp_path)
    entries = source.list_entries().entries * 10
    again = pickle.loads(pickle.dumps(source))
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda entry: again.read(entry, MAX_BYTES).content, entries))
    assert contents == [entry.path.encode() * (int(entry.path[0]) + 1) for entry in entries]


def test_compressed_records_that_are_cut_off_keep_what_is_whole_and_tell_of_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord.gz"
    noise = np.random.default_rng(0).bytes(3000)  # which gzip cannot make shorter
    records = [example(image=noise[start : start + 1000], label="a") for start in (0, 1000, 2000)]
    content = write(path, *records, compression="GZIP").read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    listing = source_of(tmp_path).list_entries()
    assert 1 <= len(listing.entries) < 3
    assert [reason for _, reason, _ in rejections(listing)] == [Reason.UNREADABLE]
    path.write_bytes(content[:-4])  # all the records are whole, but not the end of the stream
    listing = source_of(tmp_path).list_entries()
    assert len(listing.entries) == 3
    assert [reason for _, reason, _ in rejections(listing)] == [Reason.UNREADABLE]


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_in_archives_are_read(tmp_path: Path, form: str, compression: str) -> None:
    three_records(tmp_path / "records" / "x" / f"a.tfrecord{'.gz' if compression else ''}", compression=compression)
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), form, tmp_path / "records"))
    source = pickle.loads(pickle.dumps(source_of(archive, pattern="*/*.tfrecord*")))
    found = read_all(source)
    contents = [photograph.content for photograph in found.values() if isinstance(photograph, Photograph)]
    assert sorted(contents) == [bytes([number]) * 50 for number in range(3)]


def test_fingerprint_differs_after_a_change(tmp_path: Path) -> None:
    write(tmp_path / "a.tfrecord", example(image=b"x", label="a"))
    before = fingerprint(source_of(tmp_path).list_entries())
    assert fingerprint(source_of(tmp_path).list_entries()) == before
    write(tmp_path / "a.tfrecord", example(image=b"x", label="a"), example(image=b"y", label="a"))
    assert fingerprint(source_of(tmp_path).list_entries()) != before


def test_gzip_of_something_else_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.tfrecord.gz").write_bytes(gzip.compress(b"hello, this is text"))
    (tmp_path / "b.tfrecord.gz").write_bytes(b"not even gzip")
    listing = source_of(tmp_path).list_entries()
    assert [(path, reason) for path, reason, _ in rejections(listing)] == [
        ("a.tfrecord.gz#0", Reason.UNREADABLE),
        ("b.tfrecord.gz#0", Reason.UNREADABLE),
    ]
