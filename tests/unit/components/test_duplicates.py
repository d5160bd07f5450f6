import io
import os
import random

import numpy as np
import pytest
from PIL import Image

from benchmarks.duplicates import search
from benchmarks.lookalikes import cheap_decode, encoded, samples, scene
from components.image_example_gen.duplicates import pairs as pairs_module
from components.image_example_gen.duplicates.grouping import components_of
from components.image_example_gen.duplicates.pairs import MAX_DISTANCE, Pair, Row, candidates_of, find_pairs, rows_of
from components.image_example_gen.duplicates.signature import Signature, signature_of
from components.image_example_gen.duplicates.thumbnails import are_plain, details_of
from examples.digits.make_images import load_scans, photograph


def scene_of(seed: int) -> Image.Image:
    return scene(np.random.default_rng(seed))


def pixels_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.slow
def test_copies_are_found_and_nothing_else() -> None:
    outcome = search(list(samples(num_images=600, num_copies=50, seed=7)))
    for kind in ("exact", "re-encoded", "resized", "flipped"):
        assert outcome.recall[kind] >= 0.98, (kind, outcome.missed)
    assert outcome.false_alarms == []
    assert outcome.found.unchecked == ()


def test_handwritten_digits_are_no_duplicates_of_each_other() -> None:
    scans, digits = load_scans()
    signatures = {
        f"{digit}/{number:04d}": signature_of(pixels_of(photograph(scan)))
        for number, (scan, digit) in enumerate(zip(scans, digits, strict=True))
    }
    assert find_pairs(signatures).pairs == ()


@pytest.mark.parametrize("seed", range(8))
def test_jpeg_at_an_eighth_has_the_signature_of_the_png_in_full(seed: int) -> None:
    image = scene_of(seed).resize((500, 375))
    pixels, full_size_px = cheap_decode(encoded(image, "JPEG", 90))
    assert pixels.shape == (47, 63, 3)
    small, large = signature_of(pixels, full_size_px), signature_of(pixels_of(image))
    assert distance(small.hash, large.hash) <= 2
    assert distance(small.mirrored_hash, large.mirrored_hash) <= 2


def test_mirrored_hash_is_the_hash_of_the_mirror_image() -> None:
    for seed in range(10):
        pixels = pixels_of(scene_of(seed))
        assert distance(signature_of(pixels).mirrored_hash, signature_of(pixels[:, ::-1]).hash) <= 1
        assert distance(signature_of(pixels).hash, signature_of(pixels[:, ::-1]).hash) > 8 or seed


def test_thumbnail_is_the_mean_of_each_part() -> None:
    pixels = np.kron(np.arange(256, dtype=np.uint8).reshape(16, 16), np.ones((3, 5), np.uint8))
    thumbnail = signature_of(np.stack([pixels, pixels // 2, 255 - pixels], axis=-1)).thumbnail
    channels = np.frombuffer(thumbnail, np.uint8).reshape(16, 16, 3)
    assert np.array_equal(channels[..., 0], np.arange(256).reshape(16, 16))
    assert np.array_equal(channels[..., 2], 255 - np.arange(256).reshape(16, 16))


def test_large_photographs_have_the_signature_of_smaller_ones() -> None:
    small = pixels_of(scene_of(3))
    large = np.repeat(np.repeat(small, 9, axis=0), 9, axis=1)
    assert distance(signature_of(large).hash, signature_of(small).hash) <= 1


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (2, 3, 3), (700, 1, 3)])
def test_smallest_and_thinnest_images_have_a_signature(shape: tuple[int, int, int]) -> None:
    signature = signature_of(np.full(shape, 200, np.uint8))
    assert signature.thumbnail == bytes([200]) * 768
    assert signature.hash == signature.mirrored_hash == 0


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_is_an_error_that_says_so(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        signature_of(bad)


def test_every_pair_within_the_distance_is_a_candidate() -> None:
    dice = random.Random(5)
    for _ in range(300):
        one = dice.getrandbits(64)
        flipped = sum(1 << bit for bit in dice.sample(range(64), MAX_DISTANCE))
        rows = [
            *rows_of("a", Signature(one, dice.getrandbits(64), b"")),
            *rows_of("b", Signature(one ^ flipped, dice.getrandbits(64), b"")),
        ]
        candidates, unchecked = candidates_of(rows)
        assert Pair("a", "b", False, MAX_DISTANCE) in candidates and not unchecked


def test_pairs_are_exactly_those_of_comparing_each_with_each() -> None:
    dice = random.Random(6)
    centres = [dice.getrandbits(64) for _ in range(20)]
    hashes = {
        f"{number:03d}": dice.choice(centres) ^ sum(1 << bit for bit in dice.sample(range(64), dice.randrange(6)))
        for number in range(400)
    }
    rows = [Row(row.bucket, row.hash, row.path, False) for path in hashes for row in _own_rows(path, hashes[path])]
    expected = {
        (first, second, distance(hashes[first], hashes[second]))
        for first in hashes
        for second in hashes
        if first < second and distance(hashes[first], hashes[second]) <= MAX_DISTANCE
    }
    dice.shuffle(rows)
    assert {(pair.first, pair.second, pair.distance) for pair in candidates_of(rows)[0]} == expected


def _own_rows(path: str, value: int) -> list[Row]:
    return [row for row in rows_of(path, Signature(value, value, b"")) if not row.is_mirrored]


def test_ten_thousand_white_pages_are_one_group_at_once() -> None:
    page = signature_of(np.full((40, 30, 3), 255, np.uint8))
    found = find_pairs({f"{number:05d}": page for number in range(10_000)})
    assert len(found.pairs) == 9_999 and found.unchecked == () and found.num_plain == 10_000
    assert set(components_of(found.pairs).values()) == {"00000"}


def test_many_equal_photographs_are_one_group() -> None:
    same = signature_of(pixels_of(scene_of(1)))
    found = find_pairs({f"{number:05d}": same for number in range(3_000)})
    assert len(found.pairs) == 2_999 and found.unchecked == ()


def test_plain_pictures_of_other_gradients_are_no_pair() -> None:
    ramp = np.linspace(0, 60, 64)[:, None, None] + np.zeros((64, 64, 3))
    skies = {f"{base}": signature_of((ramp + base).astype(np.uint8)) for base in (90, 100, 110, 150)}
    assert are_plain(details_of(list(skies.values()))).all()
    found = find_pairs(skies)
    assert found.pairs == () and found.num_plain == 4


def test_what_a_crowded_bucket_leaves_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row for number in range(40) for row in _own_rows(f"{number:02d}", 0)]
    assert len(candidates_of(rows)[0]) == 40 * 39 // 2
    monkeypatch.setattr(pairs_module, "MAX_PARTNERS", 5)
    pairs, unchecked = candidates_of(rows)
    num_pairs = 35 * 5 + 10
    assert len(pairs) == num_pairs
    assert {(item.example, item.num_photographs, item.num_comparisons) for item in unchecked} == {
        ("00", 40, 40 * 39 // 2 - num_pairs)
    }
    monkeypatch.setattr(pairs_module, "MAX_COMPARED", 3)
    pairs, unchecked = candidates_of(rows)
    assert len(pairs) == 37 * 3 + 3
    assert {item.num_comparisons for item in unchecked} == {40 * 39 // 2 - len(pairs)}


def test_candidates_in_a_crowded_bucket_do_not_depend_on_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "MAX_PARTNERS", 3)
    monkeypatch.setattr(pairs_module, "MAX_COMPARED", 30)
    dice = random.Random(1)
    rows = [row for number in range(200) for row in _own_rows(f"{number:03d}", 1 << number % 60)]
    expected = candidates_of(rows)
    for _ in range(3):
        dice.shuffle(rows)
        shuffled = candidates_of(rows)
        assert shuffled[0] == expected[0] and set(shuffled[1]) == set(expected[1])


def test_symmetric_photograph_is_no_pair_with_itself() -> None:
    half = pixels_of(scene_of(2))
    symmetric = np.concatenate([half, half[:, ::-1]], axis=1)
    assert find_pairs({"a": signature_of(symmetric)}).pairs == ()


def test_components_are_named_by_their_smallest_path_whatever_the_order() -> None:
    links = [("b", "c"), ("c", "d"), ("a", "d"), ("x", "y")]
    pairs = [Pair(first, second, False, 0) for first, second in links]
    expected = {"a": "a", "b": "a", "c": "a", "d": "a", "x": "x", "y": "x"}
    assert components_of(pairs) == components_of(pairs[::-1]) == expected


def planted_signatures() -> dict[str, Signature]:
    signatures = {
        sample.path: signature_of(*cheap_decode(sample.content)) for sample in samples(120, num_copies=10, seed=3)
    }
    name = os.fsdecode(b"caf\xe9/1.jpg")
    white = {f"white/{number}": signature_of(np.full((9, 9, 3), 255, np.uint8)) for number in range(30)}
    return {**signatures, **white, name: signatures["scene/00000"]}


def test_the_order_of_the_photographs_changes_nothing() -> None:
    signatures = planted_signatures()
    expected = find_pairs(signatures)
    assert any(pair.is_mirrored for pair in expected.pairs) and expected.num_plain >= 30
    items = list(signatures.items())
    random.Random(1).shuffle(items)
    assert find_pairs(dict(items)) == expected


def test_files_of_the_benchmark_are_images() -> None:
    kinds = set()
    for sample in samples(40, num_copies=5, seed=2):
        with Image.open(io.BytesIO(sample.content)) as image:
            image.load()
        kinds.add(sample.change)
    assert kinds == {"", "exact", "re-encoded", "resized", "flipped", "cropped", "brightened"}
