"""One measured process of `benchmarks.frozen`'s whole runs: python -m benchmarks.frozen_whole CASE WORK, CASE as JSON.

From photographs to exported models: who runs it takes the time of the whole process, imports included.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.frozen_data import backbone_weights, files_of
from benchmarks.frozen_plan import BACKBONE, SEED
from benchmarks.isolation import report_from

Case = dict[str, Any]


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Runs one case.

    Returns:
        "eval_accuracy" after the last epoch, and "durations_s" by component, empty for scripts; see `measure_weights`.
    """
    case: Case = json.loads(arguments[0])
    measured = {
        "weights": measure_weights,
        "thaw": measure_thaw,
        "script": measure_script,
        "stock TFX": measure_stock,
    }[case["kind"]]
    return measured(case, work)


def measure_weights(case: Case, _work: Path) -> dict[str, Any]:
    """The file of the backbone's "weights", which all others begin with."""
    return {"weights": str(backbone_weights(Path(case["photographs"]), case["image_size_px"]))}


def measure_script(case: Case, work: Path) -> dict[str, Any]:
    """The plain script, on JPEGs that tf.data reads in every epoch, or that it caches."""
    import keras

    from benchmarks.frozen_scripts import jpeg_batches, two_phases

    keras.utils.set_random_seed(SEED)
    train, evaluated = files_of(Path(case["photographs"]))
    num_left_out = len(train) * case["splits"]["test"] // (100 - case["splits"]["eval"])  # as thaw and TFX do
    batches = jpeg_batches(train[num_left_out:], case, True), jpeg_batches(evaluated, case, False)
    model, accuracy = two_phases(*batches, case, is_scaled=False)
    model.export(work / "model", verbose=False)
    return {"eval_accuracy": accuracy, "durations_s": {}}


def measure_thaw(case: Case, work: Path) -> dict[str, Any]:
    """The pipeline's components from ImageExampleGen to FineTuner, with the cache in a fresh folder."""
    from benchmarks.pipelines import run_components
    from pipeline.config.models import Configuration
    from pipeline.graph import build_components
    from pipeline.local_runner import cache_place_of
    from trainer import devices

    configuration = Configuration.model_validate(_configuration(case, work))
    os.environ.update(cache_place_of(configuration).to_environment())
    devices.prepare(None)
    (work / "root").mkdir()
    wanted = ("ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "FineTuner")
    run = run_components([each for each in build_components(configuration) if each.id in wanted], work / "root")
    record = json.loads(Path(run.outputs["FineTuner"].uris["training_record"], "training.json").read_text("utf-8"))
    return {
        "eval_accuracy": record["phases"][-1]["epochs"][-1]["eval_accuracy"],
        "durations_s": run.durations_s,
        "cache": {phase["name"]: phase["cache"]["why"] for phase in record["phases"]},
    }


def _configuration(case: Case, work: Path) -> dict[str, Any]:
    head = {"name": "head", "epochs": case["num_epochs"], "learning_rate": 1e-3}
    unfrozen = {"name": "fine_tune", "unfreeze": {"block": case["boundary"]}}
    return {
        "name": "frozen",
        "data": {"images": case["photographs"], "splits": case["splits"]},
        "model": {
            "backbone": BACKBONE,
            "weights": case["weights"],
            "weights_sha256": hashlib.sha256(Path(case["weights"]).read_bytes()).hexdigest(),
            "image_size_px": case["image_size_px"],
            "batch_size_per_replica": case["batch_size"],
            "seed": SEED,
            "phases": [head, {**unfrozen, "epochs": case["num_epochs"], "learning_rate": 1e-5}],
        },
        "gate": {"first_push": "approve"},
        "infrastructure": {"root": str(work / "root"), "push_destination": str(work / "pushed")},
    }


def measure_stock(case: Case, work: Path) -> dict[str, Any]:
    """TFX as it comes, see `benchmarks.frozen_stock`."""
    from benchmarks.frozen_stock import components_of
    from benchmarks.ingest_variants import SCHEMA
    from benchmarks.pipelines import run_components
    from components.data_validation.importing import ImportSchema

    schema_gen = ImportSchema(str(SCHEMA))
    components = components_of(case["photographs"], {**case, "work": str(work)}, schema_gen)
    run = run_components([schema_gen, *components], work)
    accuracy = float((work / "accuracy.txt").read_text("ascii"))
    return {"eval_accuracy": accuracy, "durations_s": run.durations_s}


if __name__ == "__main__":
    report_from(measure)
