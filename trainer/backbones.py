"""Pretrained feature extractors: how each is built, and how its weights expect pixels to be scaled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from trainer.errors import ConfigurationError, WeightsError
from trainer.files import sha256_of
from trainer.scaling import SMALL_CNN, Scaling
from trainer.settings import ModelSettings
from trainer.small_cnn import small_cnn


def scale(pixels: Any, scaling: Scaling) -> Any:
    """Scales pixels for a backbone.

    Args:
        pixels: [batch, height, width, 3], RGB in 0..255, any real dtype.
        scaling: see `Scaling`.

    Returns:
        float32 tensor of the same shape.
    """
    values = keras.ops.cast(pixels, "float32")
    if scaling == "identity":
        return values
    if scaling == "unit":
        return values / 255.0
    if scaling == "symmetric":
        return values / 127.5 - 1.0
    if scaling == "torch":
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return (values / 255.0 - keras.ops.array(mean)) / keras.ops.array(deviation)
    mean_bgr = (103.939, 116.779, 123.68)
    return keras.ops.flip(values, axis=-1) - keras.ops.array(mean_bgr)


def build_backbone(settings: ModelSettings) -> keras.Model:
    """Builds the backbone without its top, with its weights loaded.

    Returns:
        A Functional model from float32 [batch, size, size, 3] to a feature map [batch, height, width, channels].

    Raises:
        ConfigurationError: the backbone cannot take images of this size.
        WeightsError: the weights are missing, unreachable, of another model, or not those of `weights_sha256`.
    """
    if settings.weights == "imagenet":
        return _with_imagenet_weights(settings)
    backbone = _construct(settings, weights=None)
    if settings.weights_path is not None:
        _load_weights(backbone, settings.weights_path, settings.weights_sha256)
    return backbone


def _construct(settings: ModelSettings, weights: str | None) -> keras.Model:
    size = settings.image_size_px
    if settings.backbone == SMALL_CNN:
        return small_cnn(size)
    constructor: Callable[..., keras.Model] = getattr(keras.applications, settings.backbone)
    try:
        return constructor(include_top=False, weights=weights, input_shape=(size, size, 3))
    except ValueError as error:
        if "nput size" not in str(error):
            raise
        raise ConfigurationError(
            f"model.image_size_px: {settings.backbone} cannot take images of {size} px: {error}"
        ) from error


def _with_imagenet_weights(settings: ModelSettings) -> keras.Model:
    if settings.backbone == SMALL_CNN:
        raise WeightsError("model.weights: small_cnn has no imagenet weights; give the path of a weights file, or none")
    try:
        return _construct(settings, weights="imagenet")
    except Exception as error:
        if "URL fetch failure" not in str(error):
            raise
        raise WeightsError(
            f"model.weights: the imagenet weights of {settings.backbone} are not in {_weights_cache()} "
            f"and cannot be downloaded ({_reason(error)}). Where there is a network, run "
            f'`python -c "import keras; keras.applications.{settings.backbone}(include_top=False)"` and copy the file '
            "to that folder here, or set model.weights to its path and model.weights_sha256 to its digest"
        ) from error


def _weights_cache() -> Path:
    """Where Keras looks for weights before it downloads them; its own function for it is private."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _reason(error: Exception) -> str:
    return str(error).rsplit(": ", maxsplit=1)[-1].strip()[:120]


def _load_weights(backbone: keras.Model, path: Path, expected_sha256: str | None) -> None:
    if not os.path.isfile(path):  # unlike pathlib's, no error where a folder above may not be looked into
        raise WeightsError(f"model.weights: no file {str(path)!r} that this user can see")
    found = sha256_of(path)
    if found != expected_sha256:
        raise WeightsError(
            f"model.weights: {str(path)!r} has sha256 {found}, not the {expected_sha256} of model.weights_sha256; if "
            "the file is the right one, change the digest"
        )
    try:
        backbone.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"model.weights: {str(path)!r} does not hold the weights of a {backbone.name}: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
