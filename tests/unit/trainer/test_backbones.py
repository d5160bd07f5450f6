"""Backbones get pixels scaled as in their pretraining, and the weights that were asked for or an error in words."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from tiny import settings

from trainer.backbones import build_backbone, scale
from trainer.errors import ConfigurationError, WeightsError
from trainer.scaling import SCALING, SMALL_CNN
from trainer.settings import ModelSettings
from trainer.small_cnn import small_cnn

REPOSITORY = Path(__file__).parents[3]


def with_weights(path: Path, sha256: str | None = None) -> ModelSettings:
    digest = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    return settings(weights=str(path), weights_sha256=digest)


@pytest.mark.parametrize("backbone", [name for name in SCALING if name != SMALL_CNN])
def test_every_backbone_is_scaled_as_keras_applications_scales_it(backbone: str) -> None:
    module = sys.modules[getattr(keras.applications, backbone).__module__]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    expected = module.preprocess_input(pixels.astype(np.float32))
    np.testing.assert_allclose(scale(pixels, SCALING[backbone]), expected, atol=1e-4)


def test_the_small_cnn_gets_pixels_from_0_to_1() -> None:
    pixels = np.array([[[[0, 51, 255]]]], np.uint8)
    found = scale(pixels, SCALING[SMALL_CNN])
    np.testing.assert_allclose(found, [[[[0, 0.2, 1]]]], rtol=1e-6)
    assert keras.ops.dtype(found) == "float32"


def test_an_unknown_backbone_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ValidationError, match=r"no backbone 'MobilNetV2'; nearest: .*MobileNetV2"):
        settings(backbone="MobilNetV2")


@pytest.mark.parametrize(("backbone", "least"), [("VGG16", "32x32"), ("InceptionV3", "75x75")])
def test_an_image_size_that_a_backbone_cannot_take_is_refused_with_the_least_one(backbone: str, least: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"image_size_px: {backbone} cannot take images of 16 px: .*{least}"):
        build_backbone(settings(backbone=backbone, image_size_px=16))


def test_weights_of_a_file_are_loaded(tmp_path: Path) -> None:
    saved = small_cnn(8)
    saved.save_weights(tmp_path / "small.weights.h5")
    loaded = build_backbone(with_weights(tmp_path / "small.weights.h5"))
    for expected, found in zip(saved.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(expected, found)


def test_another_digest_is_refused_with_both(tmp_path: Path) -> None:
    path = tmp_path / "small.weights.h5"
    small_cnn(8).save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=rf"has sha256 {digest}, not the {'0' * 64}"):
        build_backbone(with_weights(path, sha256="0" * 64))


def test_a_missing_weights_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no file '.*missing.weights.h5'"):
        build_backbone(with_weights(tmp_path / "missing.weights.h5", sha256="0" * 64))


def test_a_weights_file_in_a_folder_that_may_not_be_looked_into_is_refused_by_name(tmp_path: Path) -> None:
    """A pod's user is not the one who compiled the pipeline."""
    (tmp_path / "closed").mkdir(mode=0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(WeightsError, match=r"no file '.*here.weights.h5'"):
            build_backbone(with_weights(tmp_path / "closed" / "here.weights.h5", sha256="0" * 64))
    finally:
        os.seteuid(user)
        (tmp_path / "closed").chmod(0o700)


def wider_model() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Conv2D(5, 3, name="block1_conv")(inputs))


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_a_weights_file_of_another_architecture_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"other{suffix}"
    wider_model().save(path) if suffix == ".h5" else wider_model().save_weights(path)
    with pytest.raises(WeightsError, match="does not hold the weights of a small_cnn"):
        build_backbone(with_weights(path))


@pytest.mark.parametrize("name", ["notes.txt", "weights.h5", "my.weights.h5"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("these are not weights")
    with pytest.raises(WeightsError, match="does not hold the weights of a small_cnn"):
        build_backbone(with_weights(path))


def test_the_small_cnn_has_no_imagenet_weights() -> None:
    with pytest.raises(WeightsError, match="small_cnn has no imagenet weights"):
        build_backbone(settings(weights="imagenet"))


@pytest.mark.slow
def test_imagenet_weights_without_a_network_are_refused_with_the_remedy(tmp_path: Path) -> None:
    code = (
        "from tiny import settings\n"
        "from trainer.backbones import build_backbone\n"
        "build_backbone(settings(backbone='VGG16', image_size_px=32, weights='imagenet'))\n"
    )
    nowhere = dict.fromkeys(("https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
    path = os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)])
    environment = {**os.environ, **nowhere, "no_proxy": "", "KERAS_HOME": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    last_line = done.stderr.strip().splitlines()[-1]
    assert last_line.startswith("trainer.errors.WeightsError: model.weights: the imagenet weights of VGG16")
    assert str(tmp_path) in last_line
    assert "keras.applications.VGG16(include_top=False)" in last_line
    assert "model.weights_sha256" in last_line
