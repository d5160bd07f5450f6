"""A bad image gets an error of its own from the exported model, and changes nothing for the others of its batch."""

import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny import settings

from benchmarks import zoo
from benchmarks.mutations import mutate
from trainer import per_image
from trainer.classifier import build_classifier
from trainer.errors import ThawError
from trainer.export import SERVING_SIGNATURE, export, max_pixels_of
from trainer.images import DEFAULT_MAX_PIXELS, decode, is_taken
from trainer.transform_graph import load_saved_transform

pytestmark = pytest.mark.slow

SIZE_PX = 8
FORMS = zoo.make_zoo()
GOOD = [FORMS[name] for name in FORMS if name.startswith(zoo.AS_IS)]

Answer = dict[str, np.ndarray]
Ask = Callable[[list[bytes]], Answer]


@pytest.fixture(scope="module")
def exported(transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(build_classifier(settings(), num_classes=3), str(transform_graph), SIZE_PX, str(folder))
    return folder


@pytest.fixture(scope="module")
def ask(exported: Path) -> Ask:
    signature = tf.saved_model.load(str(exported)).signatures[SERVING_SIGNATURE]

    def call(images: list[bytes]) -> Answer:
        return {key: value.numpy() for key, value in signature(images=tf.constant(images, tf.string)).items()}

    return call


def with_flipped_bit(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def with_many_scans(progressive: bytes) -> bytes:
    return progressive[:-2] + 600 * progressive[progressive.rindex(b"\xff\xda") : -2] + b"\xff\xd9"


def bomb(side_px: int = 12_000) -> bytes:
    """A whole PNG of 20 kB, all black, that would take 430 MB; TensorFlow itself refuses what takes 540."""
    row = bytes(1 + side_px // 8)
    packer = zlib.compressobj()
    data = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">LLBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    body = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(zoo.png_chunk(name, content) for name, content in body)


def jpeg_of_size(height: int, width: int) -> bytes:
    """A JPEG whose header lies about its size."""
    jpeg = FORMS["jpeg"]
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def bad_images() -> dict[str, tuple[bytes, str]]:
    """What is bad, by name: the image, and how its error begins."""
    truncated = {f"truncated {name}": FORMS[name][: len(FORMS[name]) // 2] for name in zoo.AS_IS}
    damaged = truncated | {
        "png with a flipped bit": with_flipped_bit(FORMS["png"], FORMS["png"].index(b"IDAT") + 60),
        "jpeg without a header": b"\xff\xd8\xff" + 100 * b"no header",
        "jpeg of three bytes": b"\xff\xd8\xff",
        "png of 20 bytes": FORMS["png"][:20],
    }
    others = ("cmyk_jpeg", "turned_webp", "animated_webp", "turned_png_6", "palette_bmp", "grey_bmp")
    refused = {name: FORMS[name] for name in others} | {
        "jpeg of too many scans": with_many_scans(FORMS["jpeg_progressive"]),
        "jpeg of too many pixels": jpeg_of_size(12_000, 12_000),
        "png of too many pixels": bomb(),
    }
    unknown = {"text": b"no image", "gif": FORMS["gif"], "tiff": FORMS["tiff"]}
    kinds = [
        ({"nothing": b""}, per_image.EMPTY),
        (unknown, per_image.NOT_ACCEPTED),
        (refused, per_image.NOT_TAKEN),
        (damaged, per_image.DAMAGED),
    ]
    return {name: (content, reason) for images, reason in kinds for name, content in images.items()}


def test_every_kind_of_bad_image_gets_its_error_and_the_good_ones_the_same_answer_to_the_last_bit(ask: Ask) -> None:
    bad = bad_images()
    batch: list[bytes] = []
    for number in range(max(len(GOOD), len(bad))):
        batch += [content for content, _ in list(bad.values())[number : number + 1]] + GOOD[number : number + 1]
    expected, found = ask(GOOD), ask(batch)
    is_bad = found["error"] != b""
    assert set(expected["error"]) == {b""}
    for key in expected:
        np.testing.assert_array_equal(found[key][~is_bad], expected[key])
    assert [content for content, error in zip(batch, is_bad, strict=True) if not error] == GOOD
    errors = dict(zip(bad, found["error"][is_bad], strict=True))
    for name, (_, reason) in bad.items():
        assert errors[name].decode().startswith(reason), name
    assert not found["scores"][is_bad].any() and not found["score"][is_bad].any()
    assert set(found["label"][is_bad]) == {b""}


def test_a_refusal_says_how_many_pixels_are_taken(ask: Ask) -> None:
    (error,) = ask([jpeg_of_size(12_000, 12_000)])["error"]
    assert error.decode().endswith(f"of at most {DEFAULT_MAX_PIXELS} pixels")


def test_400_damaged_files_are_answered_or_refused_as_the_decoder_itself_does(ask: Ask) -> None:
    sources = [content for name, content in FORMS.items() if not name.startswith("tiff")]
    random = np.random.default_rng(7)
    cases = [mutate(sources[number % len(sources)], sources, random)[1] for number in range(400)]
    decoder = tf.function(lambda one: decode(one, zoo.BACKGROUND), input_signature=[tf.TensorSpec([], tf.string)])
    reasons: Counter[str] = Counter()
    for start in range(0, len(cases), 25):
        batch = cases[start : start + 25]
        answer = ask(batch)
        for content, error, scores in zip(batch, answer["error"], answer["scores"], strict=True):
            assert (error == b"") == (raises(decoder, content) is None), content
            assert np.isclose(scores.sum(), float(error == b""), atol=1e-5)
            reasons[error.decode()[:20]] += 1
    assert len(reasons) >= 4 and min(reasons.values()) > 5, reasons


def raises(function: Callable[[bytes], Any], content: bytes) -> Exception | None:
    try:
        function(content)
    except tf.errors.InvalidArgumentError as error:
        return error
    return None


def test_what_is_taken_by_its_header_fails_only_for_damage() -> None:
    takes = tf.function(is_taken, input_signature=[tf.TensorSpec([], tf.string)])
    decoder = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])
    for name, content in FORMS.items():
        assert bool(takes(content)) == (raises(decoder, content) is None) == name.startswith(zoo.AS_IS), name


def test_decompression_bombs_take_no_memory(ask: Ask, most_memory_mib: Callable[[Callable[[], object]], float]) -> None:
    good, bombs = FORMS["png"], [bomb(), jpeg_of_size(12_000, 12_000)]
    ask([good, *16 * [FORMS["cmyk_jpeg"]]])  # not the bombs: memory once taken is kept for later calls
    assert len(bombs[0]) < 40_000
    assert most_memory_mib(lambda: ask([good, *8 * bombs])) < 60


def test_a_server_that_runs_sessions_answers_alike(ask: Ask, exported: Path) -> None:
    batch = [FORMS["png"], FORMS["cmyk_jpeg"], FORMS["jpeg"], FORMS["jpeg"][:900], b""]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        description = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(exported))
        signature = description.signature_def[SERVING_SIGNATURE]
        outputs = {key: value.name for key, value in signature.outputs.items()}
        found = session.run(outputs, {signature.inputs["images"].name: batch})
    expected = ask(batch)
    assert [error != b"" for error in expected["error"]] == [False, True, False, True, True]
    assert found["error"].tolist() == expected["error"].tolist()
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-5)


def test_a_function_that_fails_on_any_image_whatsoever_is_an_error_not_a_damaged_image() -> None:
    def fail(encoded: tf.Tensor) -> tf.Tensor:
        return tf.io.parse_tensor(encoded, tf.float32)

    for images in ([], [FORMS["png"]], [tf.io.serialize_tensor(1.0).numpy()]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            per_image._map_good(fail, tf.constant(images, tf.string))


def test_the_limit_of_pixels_is_read_out_of_the_graph_and_travels_with_the_model(
    exported: Path, transform_graph: Path
) -> None:
    assert max_pixels_of(load_saved_transform(str(transform_graph))) == DEFAULT_MAX_PIXELS
    assert int(tf.saved_model.load(str(exported)).max_pixels) == DEFAULT_MAX_PIXELS


def test_a_graph_without_a_limit_of_pixels_is_refused_in_words() -> None:
    module = tf.Module()
    module.transform_fn = tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec([]))
    with pytest.raises(ThawError, match=r"no constant 'max_pixels'.*run Transform again"):
        max_pixels_of(module)
