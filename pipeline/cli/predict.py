"""`thaw predict`."""

import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli import noise
from pipeline.cli.exit_status import FAILED
from pipeline.cli.screen import console_on
from trainer.errors import ConfigurationError, ThawError

if TYPE_CHECKING:
    from trainer.serving import Prediction

_MODEL = "saved_model.pb"


def predict(model_dir: Path, images: Sequence[Path], as_json: bool) -> int:
    """Prints a prediction for each image.

    Returns:
        The exit status: failed if there was an image that the model could not read.
    """
    _check_places(model_dir, images)
    with tempfile.TemporaryDirectory(prefix="thaw-") as folder:
        log = Path(folder) / "log.txt"
        with noise.kept_in(log) as screen:
            predictions = _predict(model_dir, images)
            show = _print_json if as_json else _print_table
            show(console_on(screen), predictions)
    return FAILED if any(prediction.error for prediction in predictions) else 0


def _predict(model_dir: Path, images: Sequence[Path]) -> "Sequence[Prediction]":
    from trainer import serving

    try:
        return serving.predict(model_dir, images)
    except ThawError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("prediction failed")
        raise ThawError(f"{model_dir} cannot predict: {type(error).__name__}: {error}") from error


def _check_places(model_dir: Path, images: Sequence[Path]) -> None:
    """Before the many seconds that TensorFlow takes to start."""
    if not model_dir.is_dir():
        raise ConfigurationError(f"there is no folder {model_dir}; MODEL_DIR is a SavedModel, or holds versions of one")
    if not any(path for pattern in (_MODEL, f"*/{_MODEL}") for path in model_dir.glob(pattern)):
        raise ConfigurationError(f"no {_MODEL} in {model_dir} or in a version below it; a pushed model has one")
    missing = [str(path) for path in images if not path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ConfigurationError(f"there is no file {missing[0]}{more}; give JPEG, PNG, WebP, GIF, BMP or TIFF files")


def _print_json(console: Console, predictions: "Sequence[Prediction]") -> None:
    for prediction in predictions:
        names = ("path", "error") if prediction.error else ("path", "label", "score", "scores")
        fields = {name: getattr(prediction, name) for name in names}
        console.print(json.dumps(fields, ensure_ascii=False), soft_wrap=True)


def _print_table(console: Console, predictions: "Sequence[Prediction]") -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("label", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    # Last, and folded rather than cut: a path must stay whole.
    table.add_column("image", overflow="fold")
    for prediction in predictions:
        if prediction.error:
            table.add_row(Text("✗", "red"), "", Text(f"{prediction.path}: {prediction.error}", "red"))
        else:
            table.add_row(Text(prediction.label, "bold"), f"{prediction.score:.4f}", prediction.path)
    console.print(table)
