"""A few eval images with what the model says of them at the end of each phase, as a picture and as a table."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.datasets import Split, images_at
from trainer.replicas import Array

NUM_IMAGES = 16
_NUM_COLUMNS = 4
_MAX_LETTERS = 22
_RIGHT, _WRONG = "#1f5fa8", "#c2410c"


@dataclass(frozen=True)
class Samples:
    """Some images of a split, the same in every phase and every training with the same seed.

    Attributes:
        pixels: uint8 [images, size, size, 3].
        label_ids: int64 [images].
    """

    pixels: Array
    label_ids: Array

    def ask(self, model: Any) -> Array:
        """What a Keras model says of each: probabilities, float32 [images, classes]."""
        return np.array(model(self.pixels, training=False))


def choose(split: Split, seed: int, num_images: int = NUM_IMAGES) -> Samples:
    """Draws images from the whole split; all of them where there are not more."""
    number = min(num_images, split.num_examples)
    chosen = np.random.default_rng(seed).choice(split.num_examples, number, replace=False)
    return Samples(*images_at(split, sorted(int(place) for place in chosen)))


def names_of(labels: Sequence[str], num_classes: int) -> list[str]:
    """The classes' names, or their numbers where there are none."""
    return list(labels) or [str(number) for number in range(num_classes)]


def draw(samples: Samples, probabilities: Array, labels: Sequence[str]) -> Array:
    """Each image with its label, the class that is most probable, and its probability.

    Letters that the font lacks, such as Chinese ones, are drawn as boxes; `table` has them.

    Args:
        samples: the images.
        probabilities: of each class, float32 [images, classes].
        labels: the classes' names.

    Returns:
        uint8 [height, width, 3].
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num_rows = -(-len(samples.pixels) // _NUM_COLUMNS)
    figure = Figure(figsize=(2.4 * _NUM_COLUMNS, 2.7 * num_rows), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    all_axes = list(figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False).flat)
    for axes in all_axes:
        axes.set_axis_off()
    rows = _rows(samples, probabilities, labels)
    for axes, pixels, (label, predicted, score) in zip(all_axes, samples.pixels, rows, strict=False):
        axes.imshow(pixels)
        is_right = label == predicted
        words = f"{_short(label)}\n{'=' if is_right else '≠'} {_short(predicted)} {score}"
        axes.set_title(words, fontsize=9, color=_RIGHT if is_right else _WRONG, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def table(samples: Samples, probabilities: Array, labels: Sequence[str]) -> list[list[str]]:
    """The same in words, a row per image below a heading; plain text in TensorBoard's Markdown."""
    rows = _rows(samples, probabilities, labels)
    return [["label", "prediction", "score"], *([_plain(cell) for cell in row] for row in rows)]


def write(samples: Samples, probabilities: Array, labels: Sequence[str]) -> None:
    """Writes both to the present summary writer."""
    names = names_of(labels, probabilities.shape[-1])
    tf.summary.image("predictions", draw(samples, probabilities, names)[None])
    tf.summary.text("predictions_in_words", table(samples, probabilities, names))


def _rows(samples: Samples, probabilities: Array, labels: Sequence[str]) -> list[tuple[str, str, str]]:
    return [
        (labels[label], labels[int(scores.argmax())], f"{scores.max():.3f}")
        for label, scores in zip(samples.label_ids, probabilities, strict=True)
    ]


def _short(label: str) -> str:
    return label if len(label) <= _MAX_LETTERS else f"{label[: _MAX_LETTERS - 1]}…"


def _plain(text: str) -> str:
    """Signs that mean something in Markdown or HTML, as entities."""
    return "".join(letter if letter.isalnum() or letter == " " else f"&#{ord(letter)};" for letter in text)


class PredictionsOfPhases:
    """What was said of the samples at the end of each phase, so far; a checkpoint holds it."""

    _PREFIX = "predictions/"

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._found: dict[str, Array] = {}

    def ask(self, phase: str, model: Any) -> Array:
        """At the end of a phase: probabilities, float32 [images, classes]."""
        self._found[phase] = self.samples.ask(model)
        return self._found[phase]

    def arrays(self) -> dict[str, Array]:
        """For a checkpoint."""
        return {f"{self._PREFIX}{phase}": values for phase, values in self._found.items()}

    def restore(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Takes what a checkpoint has; returns it by phase."""
        found = {name: value for name, value in arrays.items() if name.startswith(self._PREFIX)}
        self._found = {name.removeprefix(self._PREFIX): value for name, value in found.items()}
        return self._found
