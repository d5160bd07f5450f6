"""The orientation is read alike by Pillow, in plain Python and in the graph, on whole and on damaged EXIF data."""

import warnings
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import zoo
from trainer import exif
from trainer.image_forms import _survey_jpeg
from trainer.orientation import read_orientation
from trainer.photographs import UnreadableImage, read_header

in_graph = tf.function(exif.read_orientation, input_signature=[tf.TensorSpec([None], tf.uint8)])


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def of_jpeg_in_graph(content: tf.Tensor) -> tf.Tensor:
    return _survey_jpeg(content)[0]


def by_pillow(body: bytes) -> int:
    found = Image.Exif()
    try:
        found.load(b"Exif\0\0" + body)
    except Exception:  # Pillow raises anything on damaged data
        return 1
    try:
        orientation = found.get(0x0112, 1)
    except Exception:
        return 1
    return orientation if orientation in range(1, 9) else 1


def damaged(body: bytes, random: np.random.Generator) -> bytes:
    data = bytearray(body)
    for _ in range(int(random.integers(1, 4))):
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
    return bytes(data[: int(random.integers(4, len(data) + 1))] if random.random() < 0.3 else data)


@pytest.mark.filterwarnings("ignore")
def test_pillow_python_and_the_graph_agree_on_500_damaged_bodies() -> None:
    random = np.random.default_rng(3)
    seen: Counter[int] = Counter()
    for number in range(500):
        body = damaged(zoo.exif(1 + number % 8, "<>"[number % 2]), random)
        found = in_graph(np.frombuffer(body, np.uint8)).numpy()
        assert found == read_orientation(body) == by_pillow(body), body
        seen[int(found)] += 1
    assert min(seen[orientation] for orientation in range(1, 9)) > 5


@pytest.mark.parametrize("kind", [3, 4, 8, 9])
@pytest.mark.parametrize("order", ["<", ">"])
def test_whole_numbers_of_every_kind_are_read_alike(kind: int, order: str) -> None:
    body = bytearray(zoo.exif(6, order))
    body[24:26] = kind.to_bytes(2, "little" if order == "<" else "big")
    if kind in (4, 9) and order == ">":
        body[30:34] = bytes([0, 0, 0, 6])
    assert in_graph(np.frombuffer(bytes(body), np.uint8)).numpy() == read_orientation(bytes(body)) == 6
    assert by_pillow(bytes(body)) == 6


def test_python_and_the_graph_agree_on_500_damaged_heads_of_jpegs() -> None:
    random = np.random.default_rng(4)
    jpeg = zoo.make_zoo()["jpeg"]
    num_turned = 0
    for number in range(500):
        whole = zoo.jpeg_with_exif(jpeg, zoo.exif(2 + number % 7, "<>"[number % 2]))
        head = bytearray(whole)
        for _ in range(int(random.integers(1, 5))):
            head[int(random.integers(2, 160))] ^= 1 << int(random.integers(8))
        content = bytes(head)
        try:
            header = read_header(content)
        except UnreadableImage:
            continue
        if header.format != "jpeg":
            continue
        found = int(of_jpeg_in_graph(content))
        assert found == header.orientation
        num_turned += found > 1
    assert num_turned > 200


def test_nothing_but_the_first_exif_segment_before_the_first_scan_counts() -> None:
    jpeg = zoo.make_zoo()["jpeg"]
    twice = zoo.jpeg_with_exif(zoo.jpeg_with_exif(jpeg, zoo.exif(3)), zoo.exif(6))
    behind = jpeg + zoo.jpeg_with_exif(jpeg, zoo.exif(6))
    for content, expected in ((twice, 6), (behind, 1), (jpeg, 1)):
        assert read_header(content).orientation == expected
        assert int(of_jpeg_in_graph(content)) == expected


def test_no_bytes_are_upright() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for body in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"):
            assert read_orientation(body) == in_graph(np.frombuffer(body, np.uint8)).numpy() == 1
