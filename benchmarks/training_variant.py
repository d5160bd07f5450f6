"""One measured process of `benchmarks.training`: python -m benchmarks.training_variant CONFIG SEEDS WORK_FOLDER."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.isolation import report_from

# What the training data need, of all the components.
_COMPONENTS = ("ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform")


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Makes the training data once, then trains once per seed.

    Returns:
        "durations_s": seconds by component; "num_test_examples"; "devices"; "seeds": for each seed its "seed",
        "baseline_accuracy", "accuracy" (on the test split) and "duration_s" of the training.
    """
    config, seeds = arguments
    from trainer import devices

    configuration = _configuration(Path(config), work)
    num_cpu_replicas = configuration.infrastructure.num_cpu_replicas
    devices.prepare(num_cpu_replicas)
    run, training_data, test = _training_data(configuration, work / "root")
    strategy = devices.make_strategy(num_cpu_replicas)
    return {
        "durations_s": run.durations_s,
        "num_test_examples": test.num_examples,
        "devices": devices.describe(strategy),
        "seeds": [
            _train(configuration.model.model_copy(update={"seed": int(seed)}), training_data, test, strategy)
            for seed in seeds.split(",")
        ],
    }


def example_data(config: Path, work: Path) -> tuple[Any, Any]:
    """The training data of the example, as its pipeline makes them, and its test split."""
    _, training_data, test = _training_data(_configuration(config, work), work / "root")
    return training_data, test


def _configuration(config: Path, work: Path) -> Any:
    """With the example's photographs, which are made, and a pipeline root in the work folder."""
    from pipeline.config import load_configuration

    photographs = work / "photographs"
    overrides = (f"data.images={photographs}", f"infrastructure.root={work / 'root'}")
    configuration = load_configuration(config, overrides)
    _make_photographs(photographs)
    return configuration


def _make_photographs(folder: Path) -> None:
    from examples.digits.make_images import write_images

    folder.mkdir()
    write_images(folder)


def _training_data(configuration: Any, root: Path) -> tuple[Any, Any, Any]:
    """Runs the components up to Transform; returns their run, the training data and the test split."""
    from benchmarks.pipelines import run_components
    from pipeline.graph import build_components
    from trainer.datasets import open_split
    from trainer.training import TrainingData
    from trainer.transform_graph import read_labels

    root.mkdir()
    components = [component for component in build_components(configuration) if component.id in _COMPONENTS]
    run = run_components(components, root)
    outputs = run.outputs["Transform"].uris
    train, evaluation, test = (
        open_split(f"{outputs['transformed_examples']}/Split-{split}", configuration.model.image_size_px)
        for split in ("train", "eval", "test")
    )
    num_classes = len(read_labels(outputs["transform_graph"]))
    return run, TrainingData(train, evaluation, num_classes), test


def _train(settings: Any, training_data: Any, test: Any, strategy: Any) -> dict[str, float]:
    import keras

    from trainer.training import fine_tune

    keras.utils.clear_session()
    baseline: list[float] = []
    started_at_s = time.monotonic()
    model, _ = fine_tune(
        settings, training_data, strategy, on_baseline=lambda model: baseline.append(accuracy(model, test))
    )
    duration_s = time.monotonic() - started_at_s
    return {
        "seed": settings.seed,
        "baseline_accuracy": baseline[-1],
        "accuracy": accuracy(model, test),
        "duration_s": duration_s,
    }


def accuracy(model: Any, split: Any) -> float:
    """Share of all examples of a split whose most probable class is theirs."""
    import numpy as np

    from trainer.datasets import evaluation_batches

    num_right = 0
    for inputs, label_ids, weights in evaluation_batches(split, 128):
        predicted = np.argmax(model(inputs, training=False), axis=-1)
        num_right += int(np.sum((predicted == label_ids.numpy()) & (weights.numpy() > 0)))
    return num_right / int(split.num_examples)


if __name__ == "__main__":
    report_from(measure)
