"""Asking an exported model, as any client would: TensorFlow and files, nothing of the training code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import ThawError


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
        images: paths of JPEG or PNG files.

    Raises:
        ThawError: the folder holds no complete SavedModel of ours.
    """
    import tensorflow as tf

    from trainer.export import SERVING_SIGNATURE

    folder = find_version(model_dir)
    loaded = tf.saved_model.load(str(folder))
    if SERVING_SIGNATURE not in loaded.signatures:
        raise ThawError(f"the model in {str(folder)!r} has no signature {SERVING_SIGNATURE!r}; it was not made by thaw")
    labels = _labels(folder)
    return [_predict_one(loaded.signatures[SERVING_SIGNATURE], labels, path) for path in images]


def find_version(model_dir: Path) -> Path:
    """The folder itself if it holds a SavedModel, else its newest numbered version.

    Raises:
        ThawError: there is none.
    """
    from trainer.export import is_complete

    versions = sorted(
        (path for path in model_dir.glob("*") if path.name.isdecimal()),
        key=lambda path: int(path.name),
        reverse=True,
    )
    for candidate in [model_dir, *versions]:
        if is_complete(str(candidate)):
            return candidate
    raise ThawError(
        f"no complete SavedModel in {str(model_dir)!r}: a folder with saved_model.pb and variables is needed"
    )


def _labels(folder: Path) -> list[str]:
    from trainer.features import LABEL_VOCABULARY

    text = (folder / "assets" / LABEL_VOCABULARY).read_text(encoding="utf-8", errors="surrogateescape")
    return text.removesuffix("\n").split("\n")


def _predict_one(signature: Any, labels: list[str], path: Path) -> Prediction:
    import tensorflow as tf

    try:
        answer = signature(images=tf.constant([path.read_bytes()]))
    except OSError as error:
        return Prediction(str(path), "", 0.0, {}, error.strerror or str(error))
    except tf.errors.OpError:
        return Prediction(str(path), "", 0.0, {}, "not a whole JPEG or PNG image")
    scores = dict(zip(labels, answer["scores"].numpy()[0].tolist(), strict=True))
    label = answer["label"].numpy()[0].decode(errors="surrogateescape")
    return Prediction(str(path), label, float(answer["score"].numpy()[0]), scores)
