"""One measured process of `benchmarks.gpu`: python -m benchmarks.gpu_variant CASE NUM_STEPS WORK, CASE as JSON.

CASE has "gpus" (how many), "cpu_replicas" (logical CPU devices in their stead, or null), "precision", "jit_compile",
"starved" (whether images come through the input pipeline, rather than from memory), "backbone", "image_size_px" and
"batch_size" (of each replica).
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.isolation import report_from

NUM_CLASSES = 10
_NUM_WARM_UP_STEPS = 3


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Returns "images_per_s" of an unfrozen phase, and "devices" in words."""
    case, num_steps = json.loads(arguments[0]), int(arguments[1])
    from trainer import compute, devices

    gpus = None if case["cpu_replicas"] else list(range(case["gpus"]))
    devices.prepare(case["cpu_replicas"], gpus)
    strategy = devices.make_strategy(case["cpu_replicas"])
    settings = _settings(case)
    global_batch_size = case["batch_size"] * strategy.num_replicas_in_sync
    steps = _steps(settings, strategy)
    batches = _batches(case, strategy, global_batch_size, num_steps, work)
    for _ in range(_NUM_WARM_UP_STEPS):
        steps.train(batches)
    steps.train_totals.first_bad_step()
    started_at_s = time.perf_counter()
    for _ in range(num_steps):
        steps.train(batches)
    steps.train_totals.first_bad_step()  # waits for the devices
    duration_s = time.perf_counter() - started_at_s
    return {
        "images_per_s": num_steps * global_batch_size / duration_s,
        "devices": compute.describe(settings, strategy),
    }


def _settings(case: dict[str, Any]) -> Any:
    from trainer.settings import ModelSettings, PhaseSettings

    phases = (
        PhaseSettings(name="head", epochs=1, learning_rate=1e-3),
        PhaseSettings(name="all", unfreeze="all", epochs=1, learning_rate=1e-5),
    )
    return ModelSettings(
        backbone=case["backbone"],
        weights="none",
        image_size_px=case["image_size_px"],
        batch_size_per_replica=case["batch_size"],
        phases=phases,
        compute={"precision": case["precision"], "jit_compile": case["jit_compile"]},
    )


def _steps(settings: Any, strategy: Any) -> Any:
    import numpy as np

    from trainer import freezing, optimizers, rate_groups
    from trainer.classifier import build_classifier
    from trainer.steps import Steps

    phase = settings.phases[-1]
    with strategy.scope():
        model = build_classifier(settings, NUM_CLASSES)
        freezing.freeze(model, phase)
        of_phase = optimizers.build(rate_groups.groups_of(model, phase), phase, np.full(1, phase.learning_rate), {})
        return Steps(model.logits, NUM_CLASSES, phase, settings, of_phase, None, None, seed=0)


def _batches(case: dict[str, Any], strategy: Any, size: int, num_steps: int, work: Path) -> Iterator[Any]:
    """From files through the input pipeline, or one batch in memory again and again."""
    from trainer import datasets

    split = _split(case, work, 4 * size)
    num_epochs = 1 + (num_steps + _NUM_WARM_UP_STEPS) // split.num_batches(size)
    batches = datasets.training_batches(split, size, seed=0, num_epochs=num_epochs)
    if not case["starved"]:
        batches = batches.take(1).cache().repeat()
    return iter(strategy.experimental_distribute_dataset(batches))


def _split(case: dict[str, Any], work: Path, num_examples: int) -> Any:
    import numpy as np
    import tensorflow as tf

    from trainer.datasets import open_split
    from trainer.features import LABEL_ID, PIXELS
    from trainer.images import pack

    generator = np.random.default_rng(0)
    size, folder = case["image_size_px"], work / "examples"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "examples")) as writer:
        for number in range(num_examples):
            pixels = pack(tf.constant(generator.integers(0, 256, (size, size, 3), np.uint8))).numpy()
            features = {
                PIXELS: tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
                LABEL_ID: tf.train.Feature(int64_list=tf.train.Int64List(value=[number % NUM_CLASSES])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return open_split(str(folder), size)


if __name__ == "__main__":
    report_from(measure)
