"""Asking an exported model about files.

Images of a form that the model does not take are normalised first, as ingestion does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import ThawError
from trainer.photographs import UnreadableImage, normalise, read_header
from trainer.saved_models import SERVING_SIGNATURE, is_complete


@dataclass(frozen=True)
class Prediction:
    """The answer for one file.

    Attributes:
        path: of the file.
        label: the most probable class; empty on an error.
        score: its probability.
        scores: probability of every class.
        error: why there is no answer, or None.
    """

    path: str
    label: str
    score: float
    scores: dict[str, float]
    error: str | None = None


def predict(model_dir: Path, images: Sequence[Path]) -> list[Prediction]:
    """Classifies image files; a file that cannot be read or decoded gets an error of its own.

    Args:
        model_dir: folder of a SavedModel, or of its numbered versions, of which the newest is taken.
        images: paths of JPEG, PNG, WebP, GIF, BMP or TIFF files; of several frames or pages the first is taken.

    Raises:
        ThawError: the folder holds no complete SavedModel of ours.
    """
    import tensorflow as tf

    from trainer.images import DEFAULT_MAX_PIXELS, WHITE

    folder = find_version(model_dir)
    loaded = tf.saved_model.load(str(folder))
    if SERVING_SIGNATURE not in loaded.signatures:
        raise ThawError(f"the model in {str(folder)!r} has no signature {SERVING_SIGNATURE!r}; it was not made by thaw")
    labels = read_model_labels(folder)
    background = tuple(int(value) for value in getattr(loaded, "background_rgb", WHITE))
    max_pixels = int(getattr(loaded, "max_pixels", DEFAULT_MAX_PIXELS))
    return [_predict_one(loaded.signatures[SERVING_SIGNATURE], background, max_pixels, labels, path) for path in images]


def find_version(model_dir: Path) -> Path:
    """The folder itself if it holds a SavedModel, else its newest numbered version.

    Raises:
        ThawError: there is none.
    """
    if is_version(model_dir):
        return model_dir
    for version in complete_versions(model_dir):
        return version
    raise ThawError(
        f"no complete SavedModel in {str(model_dir)!r}: a folder with saved_model.pb and variables is needed"
    )


def is_version(folder: Path) -> bool:
    """Whether a folder is a complete SavedModel of ours."""
    return is_complete(str(folder))


def complete_versions(model_dir: Path) -> Iterator[Path]:
    """Its numbered folders that hold a complete SavedModel, newest first."""
    numbered = (path for path in model_dir.glob("*") if path.name.isdecimal())
    yield from filter(is_version, sorted(numbered, key=lambda path: int(path.name), reverse=True))


def read_model_labels(folder: Path) -> tuple[str, ...]:
    """The classes of an exported model, in the order of its scores."""
    from trainer.features import LABEL_VOCABULARY

    path = folder / "assets" / LABEL_VOCABULARY
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return tuple(file.read().removesuffix("\n").split("\n"))


def _predict_one(
    signature: Any, background_rgb: tuple[int, ...], max_pixels: int, labels: Sequence[str], path: Path
) -> Prediction:
    import tensorflow as tf

    def failed(error: str) -> Prediction:
        return Prediction(str(path), "", 0.0, {}, error)

    try:
        answer = signature(images=tf.constant([acceptable(path.read_bytes(), background_rgb, max_pixels)]))
    except OSError as error:
        return failed(error.strerror or str(error))
    except UnreadableImage as error:
        return failed(str(error))
    except tf.errors.InvalidArgumentError:
        if "error" in signature.structured_outputs:  # a model of an older thaw, which lacks it, fails on a bad image
            raise
        return failed("cannot be decoded")
    error_text = answer["error"].numpy()[0].decode() if "error" in answer else ""
    if error_text:
        return failed(error_text)
    scores = dict(zip(labels, answer["scores"].numpy()[0].tolist(), strict=True))
    label = answer["label"].numpy()[0].decode(errors="surrogateescape")
    return Prediction(str(path), label, float(answer["score"].numpy()[0]), scores)


def acceptable(content: bytes, background_rgb: tuple[int, ...], max_pixels: int) -> bytes:
    """The image itself if an exported model takes it, else its normal form.

    Args:
        content: the whole file.
        background_rgb: what shows through transparent pixels, red, green and blue from 0 to 255.
        max_pixels: the most pixels that are accepted.

    Raises:
        UnreadableImage: it is not an image, or cannot be normalised.
    """
    header = read_header(content)
    if header.is_decodable_as_is:
        return content
    if header.width_px * header.height_px > max_pixels:
        size = f"{header.width_px}x{header.height_px}"
        raise UnreadableImage("cannot be decoded", f"{size} pixels are more than the {max_pixels} allowed")
    red, green, blue = background_rgb
    return normalise(content, header, (red, green, blue))
