"""One measured process of `benchmarks.plans`: python -m benchmarks.plans_variant TASK SEEDS PLANS MOST_EPOCHS WORK."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import keras_guide, photograph_regions, plan_list
from benchmarks.isolation import CHECKOUT, report_from

DIGITS, REGIONS = "digits", "photographs"
_WEIGHTS = CHECKOUT / "examples" / "digits" / "small_cnn.weights.h5"


@dataclass(frozen=True)
class Task:
    """What is learned.

    Attributes:
        data: to train on and to choose epochs by.
        test: what plans are judged by.
    """

    data: Any
    test: Any


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Trains every plan with every seed.

    Args:
        arguments: the task, seeds joined by commas, a JSON list of names of plans, and epochs of a phase at most.
        work: an empty folder.

    Returns:
        "num_examples": by split; "rows": for each training "plan", "seed", "accuracy" and "log_loss" on the test split,
        "num_trainable" parameters of its last phase, what was found for "auto" in words, and "duration_s".
    """
    name, seeds, plans, most_epochs = arguments
    from trainer import devices

    devices.prepare(None)
    task = _digits(work) if name == DIGITS else _regions(work)
    rows = [_row(task, plan, int(seed), int(most_epochs)) for plan in json.loads(plans) for seed in seeds.split(",")]
    splits = {"train": task.data.train, "eval": task.data.eval, "test": task.test}
    return {"num_examples": {split: found.num_examples for split, found in splits.items()}, "rows": rows}


def _digits(work: Path) -> Task:
    """The splits of the embedded example, as its pipeline makes them."""
    from benchmarks.training_variant import example_data

    data, test = example_data(CHECKOUT / "examples" / "digits" / "config.yaml", work)
    return Task(data, test)


def _regions(work: Path) -> Task:
    from trainer.own_data import read_split, write_split
    from trainer.training import TrainingData

    classes = tuple(map(str, range(len(photograph_regions.REGIONS))))
    splits = {
        split: write_split(
            read_split(split, photograph_regions.examples_of(split)),
            classes,
            photograph_regions.IMAGE_SIZE_PX,
            work / split,
        )
        for split in ("train", "eval", "test")
    }
    return Task(TrainingData(splits["train"], splits["eval"], len(classes)), splits["test"])


def _row(task: Task, plan: str, seed: int, most_epochs: int) -> dict[str, Any]:
    import keras

    keras.utils.clear_session()
    started_at_s = time.monotonic()
    train = _guide if plan in plan_list.RATES_OF_GUIDE else _ours
    found = train(task, plan, seed, most_epochs)
    return {"plan": plan, "seed": seed, "duration_s": time.monotonic() - started_at_s, **found}


def _ours(task: Task, plan: str, seed: int, most_epochs: int) -> dict[str, Any]:
    from trainer.devices import make_strategy
    from trainer.settings import ModelSettings
    from trainer.training import fine_tune

    settings = ModelSettings.model_validate(
        {
            "backbone": "small_cnn",
            "weights": str(_WEIGHTS),
            "weights_sha256": _WEIGHTS.with_name(f"{_WEIGHTS.name}.sha256").read_text("ascii").split()[0],
            "image_size_px": photograph_regions.IMAGE_SIZE_PX,
            "dropout_rate": 0.0,
            "seed": seed,
            "phases": plan_list.shortened(plan_list.PLANS[plan], most_epochs),
            "baseline": "none",
            "checkpoint_every_steps": 0,
        }
    )
    model, phases = fine_tune(settings, task.data, make_strategy(None), on_baseline=lambda _: None)
    return {
        **judged(lambda pixels: model.logits(pixels, training=False), task.test),
        "num_trainable": phases[-1].trainable.num_trained_parameters,
        "found": [_found(phase) for phase in phases if phase.search is not None],
    }


def _found(phase: Any) -> str:
    """What stands in the place of "auto"."""
    unfreeze = phase.settings.unfreeze
    boundary = unfreeze if isinstance(unfreeze, str) else json.dumps(unfreeze.model_dump(exclude_defaults=True))
    return f"{phase.settings.name}: {boundary} at {phase.settings.peak_rate:.2g}"


def _guide(task: Task, plan: str, seed: int, most_epochs: int) -> dict[str, Any]:
    import keras
    import numpy as np

    from trainer.small_cnn import small_cnn

    keras.utils.set_random_seed(seed)
    backbone = small_cnn(photograph_regions.IMAGE_SIZE_PX)
    backbone.load_weights(_WEIGHTS)
    epochs = (min(plan_list.NUM_EPOCHS_OF_HEAD, most_epochs), min(plan_list.NUM_EPOCHS_AFTER, most_epochs))
    model = keras_guide.train(
        backbone,
        task.data.num_classes,
        _arrays(task.data.train),
        epochs,
        plan_list.RATES_OF_GUIDE[plan],
        with_augmentation=plan == plan_list.GUIDE,
    )
    found = judged(lambda pixels: model(pixels, training=False), task.test)
    return {**found, "num_trainable": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)}


def _arrays(split: Any) -> keras_guide.Arrays:
    import numpy as np

    from trainer.datasets import evaluation_batches

    batches = list(evaluation_batches(split, 64))
    pixels = np.concatenate([inputs["pixels"].numpy() for inputs, _, _ in batches])[: split.num_examples]
    return pixels, np.concatenate([label_ids.numpy() for _, label_ids, _ in batches])[: split.num_examples]


def judged(logits_of: Any, split: Any) -> dict[str, float]:
    """Accuracy and mean log loss over a split, of a function from pixels in 0..255 to logits."""
    import numpy as np
    import tensorflow as tf

    pixels, label_ids = _arrays(split)
    logits = np.concatenate(
        [logits_of(tf.constant(pixels[first : first + 128])).numpy() for first in range(0, len(pixels), 128)]
    )
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label_ids, logits.astype(np.float64))
    return {
        "accuracy": float(np.mean(np.argmax(logits, axis=-1) == label_ids)),
        "log_loss": float(np.mean(losses)),
    }


if __name__ == "__main__":
    report_from(measure)
