import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples.digits import make_images, pretrain
from examples.digits.make_images import PRETRAINING_DIGITS, TARGET_DIGITS, photograph_files, write_images
from trainer.images import decode
from trainer.small_cnn import small_cnn

NUM_PHOTOGRAPHS_BY_CLASS = {"five": 182, "six": 181, "seven": 179, "eight": 174, "nine": 180}
FLAWED = {"five/truncated.jpg", "six/empty.jpg", "seven/notes.png", "eight/truncated.png"}
MAX_WEIGHTS_BYTES = 2_000_000


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_images(folder)
    return folder


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _state(folder: Path) -> dict[str, tuple[int, int, str]]:
    return {
        name: (path.stat().st_mtime_ns, path.stat().st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in _files(folder).items()
    }


def test_every_class_has_all_its_scans_and_nothing_else_is_written(photographs: Path) -> None:
    good = _files(photographs).keys() - FLAWED
    counts = {name: sum(path.startswith(f"{name}/") for path in good) for name in NUM_PHOTOGRAPHS_BY_CLASS}
    assert counts == NUM_PHOTOGRAPHS_BY_CLASS
    assert len(good) == sum(counts.values())
    assert _files(photographs).keys() >= FLAWED


def test_photographs_are_decoded_to_64_px_and_are_what_their_name_says(photographs: Path) -> None:
    formats = {".png": "PNG", ".jpg": "JPEG"}
    for name, path in _files(photographs).items():
        if name in FLAWED:
            continue
        assert decode(path.read_bytes()).shape == (64, 64, 3)
        assert Image.open(path).format == formats[path.suffix]


def test_both_formats_are_mixed_in_every_class(photographs: Path) -> None:
    for name in NUM_PHOTOGRAPHS_BY_CLASS:
        extensions = [path.suffix for path in (photographs / name).iterdir()]
        assert abs(extensions.count(".png") - extensions.count(".jpg")) <= 2


def test_photographs_show_the_scans(photographs: Path) -> None:
    scans, labels = make_images.load_scans()
    for number, scan in enumerate(scans[labels == 7][:20]):
        path = photographs / f"seven/{number:03d}.{'jpg' if number % 2 else 'png'}"
        small = np.asarray(Image.open(path).resize((8, 8), Image.Resampling.BOX), np.float64)
        assert np.corrcoef(small.ravel(), -scan.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", sorted(FLAWED))
def test_flawed_files_cannot_be_decoded(photographs: Path, name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode((photographs / name).read_bytes())


def test_fewer_than_one_file_in_a_hundred_is_flawed(photographs: Path) -> None:
    assert 0 < len(FLAWED) / len(_files(photographs)) < 0.01


def test_a_second_run_touches_no_file(photographs: Path) -> None:
    before = _state(photographs)
    summary = write_images(photographs)
    assert summary.num_written == 0
    assert (summary.num_photographs, summary.num_flawed) == (896, 4)
    assert _state(photographs) == before


def test_missing_and_damaged_files_are_mended_and_others_left_alone(tmp_path: Path) -> None:
    write_images(tmp_path)
    contents = {name: path.read_bytes() for name, path in _files(tmp_path).items()}
    (tmp_path / "five/000.png").unlink()
    (tmp_path / "six/001.jpg").write_bytes(contents["six/001.jpg"][:100])
    (tmp_path / "nine/mine.png").write_bytes(b"a user's own file")
    untouched = _state(tmp_path)
    assert write_images(tmp_path).num_written == 2
    after = _state(tmp_path)
    assert {name: path.read_bytes() for name, path in _files(tmp_path).items()} == contents | {
        "nine/mine.png": b"a user's own file"
    }
    changed = {name for name in after if after[name] != untouched.get(name)}
    assert changed == {"five/000.png", "six/001.jpg"}


def test_a_killed_write_leaves_no_half_file_in_a_class_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, calls = os.replace, []

    def killed_at_the_third(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        write_images(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob("*/*"))] == [
        "five/000.png",
        "five/001.jpg",
    ]
    monkeypatch.undo()
    assert write_images(tmp_path).num_written == 898
    assert _files(tmp_path).keys() == dict(photograph_files(TARGET_DIGITS)).keys() | FLAWED


def test_backbone_was_pretrained_on_other_digits_than_the_classes() -> None:
    assert set(PRETRAINING_DIGITS).isdisjoint(TARGET_DIGITS)
    assert sorted(PRETRAINING_DIGITS + TARGET_DIGITS) == list(range(10))


def test_no_two_scans_are_the_same() -> None:
    scans, _ = make_images.load_scans()
    assert len({scan.tobytes() for scan in scans}) == len(scans)
    contents = [data for _, data in photograph_files(range(10))]
    assert len(set(contents)) == len(contents)


@pytest.mark.slow
def test_pretraining_data_is_the_pretraining_digits_scaled_to_one() -> None:
    images, labels = pretrain.pretraining_data()
    assert images.shape == (901, 32, 32, 3)
    assert images.dtype == np.float32
    assert images.min() == 0
    assert images.max() == 1
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181]


def test_shipped_weights_match_their_digest_and_are_small() -> None:
    path = pretrain.WEIGHTS_FILE
    digest, name = path.with_name(path.name + ".sha256").read_text().split()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert name == path.name
    assert path.stat().st_size < MAX_WEIGHTS_BYTES


@pytest.mark.slow
def test_shipped_weights_are_a_pretrained_small_cnn() -> None:
    backbone = small_cnn(pretrain.IMAGE_SIZE_PX)
    fresh = backbone.get_weights()
    backbone.load_weights(pretrain.WEIGHTS_FILE)
    assert not any(np.array_equal(a, b) for a, b in zip(fresh, backbone.get_weights(), strict=True))
    images, labels = pretrain.pretraining_data()
    features = backbone.predict(images, verbose=0).mean(axis=(1, 2))
    assert _accuracy_of_nearest_mean(features, labels) > 0.98


def _accuracy_of_nearest_mean(features: np.ndarray, labels: np.ndarray) -> float:
    means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])
    distances = ((features[:, None] - means) ** 2).sum(axis=-1)
    return float((distances.argmin(axis=1) == labels).mean())


def test_digest_file_is_in_the_format_of_sha256sum(tmp_path: Path) -> None:
    path = tmp_path / "some.weights.h5"
    path.write_bytes(b"weights")
    digest = pretrain.write_sha256(path)
    assert digest == hashlib.sha256(b"weights").hexdigest()
    assert (tmp_path / "some.weights.h5.sha256").read_text() == f"{digest}  some.weights.h5\n"


def test_encoding_is_deterministic() -> None:
    image = Image.open(io.BytesIO(next(photograph_files([5]))[1]))
    for image_format in ("PNG", "JPEG"):
        assert make_images.encode(image, image_format) == make_images.encode(image, image_format)
