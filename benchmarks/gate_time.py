"""What the gate adds to a run beyond asking the models: statistics, smoke test, report, release."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.figures import Figure, Goal
from benchmarks.photographs import photographs_folder
from benchmarks.reporting import at_least_one, finish, parser_of

BACKBONE, IMAGE_SIZE_PX = "MobileNetV2", 160
MOST_S = 20.0
_LABELS = tuple(f"class_{number}" for number in range(10))
# Functions of `components.gate.run`, and what they are called here. Intervals are computed where they are asked for.
_PARTS = {
    "predict": "inference",
    "judge": "statistics, rules and tables",
    "_smoke_test": "smoke test and latency",
    "_explain": "report and gallery",
    "write_release": "release and model card",
}


def measure(num_images: int, folder: Path) -> dict[str, float]:
    """Seconds of a whole gate and of its parts, on as many photographs and two models with random weights.

    Args:
        num_images: of the test split.
        folder: an empty one, for models, examples and the verdict.
    """
    from components.gate import run as gate

    job = gate.GateJob(
        test_examples=(str(_write_examples(num_images, folder)),),
        candidate=_export("candidate", 1, folder),
        baseline=_export("baseline", 2, folder),
        production=None,
        verdict=str(folder / "verdict"),
        approved_model=str(folder / "approved"),
    )
    Path(job.verdict).mkdir()
    settings = _settings()
    with _timed(gate, _PARTS) as seconds:
        start_s = time.perf_counter()
        gate.run(job, settings, _evaluation(job))
        seconds["all"] = time.perf_counter() - start_s
    return dict(seconds)


def _settings() -> Any:
    """Such that models which were never trained are released, too: that takes time."""
    from components.gate.settings import GateSettings

    return GateSettings(first_push="approve", min_gain=None, baseline_margins={"accuracy": 0.99}, classes=None)


def _evaluation(job: Any) -> Any:
    """What TFMA would say is not measured here; that its figures are others refuses nothing that takes time."""
    from components.gate.evidence import Evaluation

    return Evaluation(True, {"candidate": {}, "baseline": {}})


@contextmanager
def _timed(module: Any, names: Mapping[str, str]) -> Iterator[Counter[str]]:
    """Adds up the seconds that functions of a module take, under other names."""
    seconds: Counter[str] = Counter()
    before = {name: getattr(module, name) for name in names}

    def timing(function: Callable[..., Any], title: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start_s = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                seconds[title] += time.perf_counter() - start_s

        return call

    try:
        for name, title in names.items():
            setattr(module, name, timing(before[name], title))
        yield seconds
    finally:
        for name, function in before.items():
            setattr(module, name, function)


def _export(name: str, seed: int, folder: Path) -> str:
    """A MobileNetV2 that was never trained, as thaw exports one."""
    import keras

    from trainer.classifier import build_classifier
    from trainer.export import export
    from trainer.plain_transform import write_plain_transform
    from trainer.settings import ModelSettings

    keras.utils.set_random_seed(seed)
    settings = ModelSettings.model_validate(
        {"backbone": BACKBONE, "weights": "none", "image_size_px": IMAGE_SIZE_PX, "phases": "from_scratch"}
    )
    model = build_classifier(settings, len(_LABELS))
    write_plain_transform(_LABELS, IMAGE_SIZE_PX, folder / "transform_graph")
    export(model, str(folder / "transform_graph"), IMAGE_SIZE_PX, str(folder / name))
    return str(folder / name)


def _write_examples(num_images: int, folder: Path) -> Path:
    import tensorflow as tf

    path = folder / "examples"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, photograph in enumerate(sorted(photographs_folder(num_images).rglob("*.jpg"))):
            values = {
                "image": photograph.read_bytes(),
                "label": _LABELS[number % len(_LABELS)].encode(),
                "path": photograph.name.encode(),
                "content_sha256": str(number).encode(),
            }
            features = {key: {"bytes_list": {"value": [value]}} for key, value in values.items()}
            writer.write(tf.train.Example(features={"feature": features}).SerializeToString())
    return path


def figures_of(num_images: int, seconds: Mapping[str, float]) -> list[Figure]:
    """All rows; the goal is for 2,000 images."""
    beyond_s = seconds["all"] - seconds["inference"]
    parts = [Figure(f"{title}, {num_images} images", seconds.get(title, 0.0), "s") for title in _PARTS.values()]
    rest_s = beyond_s - sum(seconds.get(title, 0.0) for title in _PARTS.values() if title != "inference")
    return [
        Figure(f"the gate beyond inference, {num_images} images", beyond_s, "s", Goal("<=", MOST_S)),
        *parts,
        Figure(f"everything else, {num_images} images", rest_s, "s"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints, writes."""
    parser = parser_of("gate_time", __doc__ or "")
    parser.add_argument("--images", type=at_least_one, help="test images (default: 2,000; 40 with --smoke)")
    options = parser.parse_args(arguments)
    num_images = options.images or (40 if options.smoke else 2_000)
    console = Console()
    with TemporaryDirectory(prefix="thaw-gate-time-") as folder:
        figures = figures_of(num_images, measure(num_images, Path(folder)))
    for figure in figures:
        console.print(f"{figure.name:<48}{figure.value:8.2f} s")
    finish("gate_time", figures, options, console, {"backbone": BACKBONE, "image_size_px": IMAGE_SIZE_PX})


if __name__ == "__main__":
    main()
