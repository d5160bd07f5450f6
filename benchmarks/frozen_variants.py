"""One measured process of `benchmarks.frozen`: python -m benchmarks.frozen_variants CASE WORK_FOLDER, CASE as JSON.

CASE is that of `benchmarks.frozen_plan.Plan.case`. Times begin after the imports.
"""

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.frozen_data import open_training_data, write_training_data
from benchmarks.frozen_plan import BACKBONE, NUM_CLASSES, SEED
from benchmarks.isolation import memory_so_far_mib, report_from
from benchmarks.stopwatch import Stopwatch

Case = dict[str, Any]


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Runs one case; what it returns is said by each."""
    case: Case = json.loads(arguments[0])
    measured = {
        "data": measure_data,
        "pass": measure_pass,
        "thaw": measure_thaw,
        "keras": measure_keras,
        "in memory": measure_in_memory,
    }[case["kind"]]
    return measured(case, work)


def measure_data(case: Case, _work: Path) -> dict[str, Any]:
    """Writes training data into `case["folder"]`, unless they are there."""
    folder = Path(case["folder"])
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        write_training_data(Path(case["data"]), case["image_size_px"], partial)
        partial.rename(folder)
    data = open_training_data(str(folder), case["image_size_px"])
    return {"num_train": data.train.num_examples, "num_eval": data.eval.num_examples}


def measure_pass(case: Case, _work: Path) -> dict[str, Any]:
    """One plain forward pass of the frozen backbone over all images.

    Returns:
        "duration_s", from building the model on; "bare_s", the pass once more, with the graph made; for each boundary
        "multiply_adds" below and above.
    """
    import keras
    import tensorflow as tf

    from trainer.datasets import evaluation_batches

    started_at_s = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    data = open_training_data(case["data"], case["image_size_px"])
    shape = (case["image_size_px"], case["image_size_px"], 3)
    backbone = getattr(keras.applications, BACKBONE)(include_top=False, weights=None, input_shape=shape)
    pooling = keras.layers.GlobalAveragePooling2D()

    @tf.function(autograph=False)
    def forward(pixels: tf.Tensor) -> tf.Tensor:
        return pooling(backbone(tf.cast(pixels, tf.float32) / 127.5 - 1.0, training=False))

    def go_through() -> None:
        for split in (data.train, data.eval):
            for inputs, _, _ in evaluation_batches(split, case["batch_size"]):
                forward(inputs["pixels"]).numpy()

    go_through()
    duration_s = time.perf_counter() - started_at_s
    go_through()
    bare_s = time.perf_counter() - started_at_s - duration_s
    return {
        "duration_s": duration_s,
        "bare_s": bare_s,
        "num_train": data.train.num_examples,
        "num_eval": data.eval.num_examples,
        "multiply_adds": _multiply_adds(backbone, case["boundaries"]),
    }


def _multiply_adds(backbone: Any, boundaries: Sequence[str]) -> dict[str, tuple[int, int]]:
    from benchmarks.frozen_arithmetic import multiply_adds, split_at
    from trainer.boundaries import resolve
    from trainer.settings import Boundary

    layers, by_layer = [layer.name for layer in backbone.layers], multiply_adds(backbone)
    return {name: split_at(by_layer, layers, resolve(backbone, Boundary(block=name)).first) for name in boundaries}


def measure_thaw(case: Case, work: Path) -> dict[str, Any]:
    """`trainer.training.fine_tune` of a single phase: `case["boundary"]` up, or the head; with or without the cache.

    Returns:
        "duration_s", "parts_s", "eval_log_loss", "eval_accuracy", "cache" in words, "memory_after_imports_mib".
    """
    from trainer import devices, freeze_contract, phase_feed, training
    from trainer.activation_cache.store import store_at
    from trainer.phase_training import PhaseTraining
    from trainer.steps import Steps

    devices.prepare(None)
    memory_mib = memory_so_far_mib()
    watch = Stopwatch()
    watch.watch(training, "set_up", "building the model")
    watch.watch(training.training_state, "training_digest", "digests")
    watch.watch(freeze_contract, "digest_variables", "digests")
    watch.watch(freeze_contract, "check", "digests")
    watch.watch(phase_feed, "open_cached", "the pass through the frozen layers")
    watch.watch(Steps, "train", "steps", part_of_first="making the training graph")
    watch.watch(PhaseTraining, "_run_evaluation", "evaluations")
    started_at_s = time.perf_counter()
    data = open_training_data(case["data"], case["image_size_px"])
    store = store_at(case.get("cache_folder") or work / "cache", max_gib=20)
    _, (record,) = training.fine_tune(
        _settings(case), data, devices.make_strategy(None), lambda _: None, checkpoint_dir=work / "ckpt", cache=store
    )
    duration_s = time.perf_counter() - started_at_s
    last = record.epochs[-1]
    return {
        "duration_s": duration_s,
        "parts_s": {**watch.parts_s, "all else": duration_s - sum(watch.parts_s.values())},
        "eval_log_loss": last.eval_log_loss,
        "eval_accuracy": last.eval_accuracy,
        "cache": record.cache.in_words if record.cache else "",
        "memory_after_imports_mib": memory_mib,
    }


def _settings(case: Case) -> Any:
    from trainer.settings import Boundary, ModelSettings, PhaseSettings

    boundary = case.get("boundary")
    phase = PhaseSettings(
        name="fine_tune" if boundary else "head",
        unfreeze=Boundary(block=boundary) if boundary else "none",
        epochs=case["num_epochs"],
        learning_rate=1e-5 if boundary else 1e-3,
    )
    return ModelSettings(
        backbone=BACKBONE,
        weights="none",
        image_size_px=case["image_size_px"],
        batch_size_per_replica=case["batch_size"],
        seed=SEED,
        phases=(phase,),
        baseline="none",
        cache="require" if case["with_cache"] else "off",
    )


def measure_keras(case: Case, _work: Path) -> dict[str, Any]:
    """Keras's `fit` of a head on the frozen backbone, which runs the backbone in every epoch.

    Returns:
        "duration_s", from building the model on.
    """
    import keras
    import tensorflow as tf

    from trainer.datasets import evaluation_batches

    started_at_s = time.perf_counter()
    keras.utils.set_random_seed(SEED)
    data = open_training_data(case["data"], case["image_size_px"])

    def batches(split: Any) -> tf.data.Dataset:
        dataset = evaluation_batches(split, case["batch_size"])
        return dataset.map(lambda inputs, label_ids, weights: (inputs["pixels"], label_ids, weights))

    shape = (case["image_size_px"], case["image_size_px"], 3)
    backbone = getattr(keras.applications, BACKBONE)(include_top=False, weights=None, input_shape=shape)
    backbone.trainable = False
    inputs = keras.Input(shape, dtype="uint8")
    features = backbone(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs), training=False)
    pooled = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(features))
    model = keras.Model(inputs, keras.layers.Dense(NUM_CLASSES)(pooled))
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(batches(data.train), validation_data=batches(data.eval), epochs=case["num_epochs"], verbose=0)
    return {"duration_s": time.perf_counter() - started_at_s}


def measure_in_memory(case: Case, work: Path) -> dict[str, Any]:
    """The steps of a phase on one batch of activations in memory: what the kernels above the boundary take.

    Returns:
        "step_s", "evaluation_step_s".
    """
    from trainer import devices
    from trainer.activation_cache.store import store_at
    from trainer.phase_training import PhaseTraining, begin
    from trainer.stages import stages_of
    from trainer.training_setup import set_up

    devices.prepare(None)
    data = open_training_data(case["data"], case["image_size_px"])
    store = store_at(case.get("cache_folder") or work / "cache", max_gib=20)
    setup = set_up(_settings({**case, "with_cache": True}), data, devices.make_strategy(None), store)
    (stage,) = stages_of(setup.settings)
    training = begin(setup, stage, None, PhaseTraining)
    feed = training.batches.feed
    trained = iter(feed.training_batches(0, 1, 0).take(1).cache().repeat())
    evaluated = iter(feed.evaluation_batches().take(1).cache().repeat())
    found = {}
    for name, call, batches in (
        ("step_s", training._steps.train, trained),
        ("evaluation_step_s", training._steps.evaluate, evaluated),
    ):
        call(batches)
        training._steps.train_totals.first_bad_step()
        started_at_s = time.perf_counter()
        for _ in range(case["num_steps_in_memory"]):
            call(batches)
        training._steps.eval_totals.summary()
        found[name] = (time.perf_counter() - started_at_s) / case["num_steps_in_memory"]
    return found


if __name__ == "__main__":
    report_from(measure)
