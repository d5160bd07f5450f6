"""The pretrained weights of a configuration."""

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.doctor.finding import Finding, ok, problem, warning
from trainer.files import sha256_of
from trainer.settings import ModelSettings

# Where keras.applications downloads from: keras/src/applications, BASE_WEIGHTS_PATH.
_SOURCE = "https://storage.googleapis.com/tensorflow/keras-applications/"
_TIMEOUT_S = 5
# These have weights for several image sizes; keras.applications takes those of 224 px for all others.
_BACKBONES_BY_SIZE = ("MobileNet", "MobileNetV2")
_TRAINED_SIZES_PX = (96, 128, 160, 192, 224)


def reachable(model: ModelSettings) -> Finding:
    """Whether the weights are there, and the right ones."""
    if model.warm_start_path is not None:
        if not model.warm_start_path.is_dir():
            return problem("weights", f"{model.warm_start_path}: no such folder", "correct model.warm_start")
        return ok("weights", f"those of the exported model in {model.warm_start_path}")
    if model.weights == "none":
        return warning(
            "weights",
            "none: the backbone starts from random values, so the frozen baseline learns from noise",
            "name a weights file, or imagenet",
        )
    if model.weights_path is not None:
        return _file(model.weights_path, model.weights_sha256 or "")
    return _imagenet(model.backbone, model.image_size_px)


def _file(path: Path, expected_sha256: str) -> Finding:
    try:
        found = sha256_of(path)
    except OSError as error:
        return problem("weights", f"{path}: {error.strerror}", "correct model.weights")
    if found != expected_sha256:
        return problem(
            "weights",
            f"{path} has sha256 {found}, not {expected_sha256}",
            "fetch the right file; if this is the right one, correct model.weights_sha256",
        )
    return ok("weights", str(path))


def _imagenet(backbone: str, image_size_px: int) -> Finding:
    if backbone == "small_cnn":
        return problem("weights", "small_cnn has no imagenet weights", "name a weights file, or none")
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models")
    files = [file for file in folder.glob("*") if is_weights_of(backbone, image_size_px, file.name)]
    if files:
        return ok("weights", f"{backbone} from imagenet, in {files[0]}")
    reason = _why_unreachable(_SOURCE)
    if reason:
        return problem(
            "weights",
            f"{backbone} from imagenet is not in {folder}, and {_SOURCE} does not answer: {reason}",
            "copy the file there from a machine with a network, or name a weights file",
        )
    return ok("weights", f"{backbone} from imagenet, to be downloaded")


def is_weights_of(backbone: str, image_size_px: int, file_name: str) -> bool:
    """Whether keras.applications gives this name to a backbone's imagenet weights without the top."""
    plain = re.sub(r"[^a-z0-9]", "", file_name.lower()).removeprefix("weights")
    rest = plain.removeprefix(backbone.lower())
    if rest == plain or "notop" not in rest or not re.match(r"weights|notop|\d+tf|\d+float", rest):
        return False
    return backbone not in _BACKBONES_BY_SIZE or f"_{_trained_size_px(image_size_px)}_" in file_name


def _trained_size_px(image_size_px: int) -> int:
    return image_size_px if image_size_px in _TRAINED_SIZES_PX else max(_TRAINED_SIZES_PX)


def _why_unreachable(address: str) -> str:
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError:
        return ""  # It answers; a folder has no page of its own.
    except OSError as error:
        return str(getattr(error, "reason", error))
