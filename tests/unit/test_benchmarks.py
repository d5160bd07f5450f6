"""The benchmarks' own machinery. Run as a module, this file is a measured process; see the bottom."""

import hashlib
import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import ingest, ingest_plan, photographs, training
from benchmarks.figures import Figure, Goal, fixed_cost_s, mean_and_deviation, slope_per_s, write_results
from benchmarks.isolation import CHECKOUT, BenchmarkError, Measurement, report_from, run_isolated
from benchmarks.machine import cpu_model, machine_facts

THIS_MODULE = "tests.unit.test_benchmarks"


def test_slope_leaves_the_fixed_cost_out() -> None:
    seconds = (7 + 2000 / 50, 7 + 6000 / 50)
    assert slope_per_s((2000, 6000), seconds) == pytest.approx(50)
    assert fixed_cost_s(2000, seconds[0], 50) == pytest.approx(7)


def test_no_slope_where_more_work_took_no_longer() -> None:
    assert slope_per_s((2000, 6000), (10.0, 10.0)) is None
    assert fixed_cost_s(2000, 10.0, None) is None


@pytest.mark.parametrize(
    ("goal", "value", "holds"),
    [
        (Goal(">=", 0.3), 0.3, True),
        (Goal(">=", 0.3), 0.29, False),
        (Goal(">", 0), 0.0, False),
        (Goal("<", 0), -0.1, True),
        (Goal("<", 0), 0.0, False),
        (Goal("<=", 1), 1.0, True),
        (Goal(">=", 0.3), None, False),
        (None, 5.0, None),
    ],
)
def test_goal_is_held_against_the_value(goal: Goal | None, value: float | None, holds: bool | None) -> None:
    assert Figure("speed", value, "images/s", goal).holds is holds


def test_results_are_rows_of_five_keys_beside_the_machine(tmp_path: Path) -> None:
    figures = [Figure("speed", 123.456, "images/s", Goal(">=", 200)), Figure("memory", None, "MiB")]
    path = write_results("some", figures, {"cpu": "a processor"}, tmp_path / "results")
    assert json.loads(path.read_text()) == [
        {"name": "speed", "value": 123.5, "unit": "images/s", "goal": ">= 200", "holds": False},
        {"name": "memory", "value": None, "unit": "MiB", "goal": None, "holds": None},
    ]
    assert json.loads((tmp_path / "results" / "some.machine.json").read_text()) == {"cpu": "a processor"}


def test_machine_facts_name_no_host_and_no_folder() -> None:
    facts = machine_facts()
    text = json.dumps(facts)
    assert facts["num_cores"] and facts["memory_gib"] and facts["cpu"]
    assert str(Path.home()) not in text and str(Path.cwd()) not in text
    assert platform.node() not in text.split('"')


def test_processor_is_read_from_the_list_of_linux(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2: fast\nprocessor\t: 1\n")
    assert cpu_model(cpuinfo) == "Some CPU @ 2: fast"


def test_memory_is_that_of_the_measured_process_alone() -> None:
    # From a small process, as run_isolated asks for; that of the tests may hold TensorFlow.
    code = (
        "from benchmarks.isolation import run_isolated\n"
        f"print([run_isolated('{THIS_MODULE}', 'allocate', mib).peak_memory_mib for mib in (0, 400, 0)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    small, large, again = json.loads(done.stdout)
    assert large - small == pytest.approx(400, abs=40)
    assert again == pytest.approx(small, abs=40)


def test_memory_of_the_measured_process_s_own_children_counts() -> None:
    assert run_isolated(THIS_MODULE, "allocate_in_child", 400).peak_memory_mib > 400


def test_result_comes_back_from_the_measured_process() -> None:
    assert run_isolated(THIS_MODULE, "allocate", 1).result == {"num_mib": 1}


def test_failed_process_is_told_with_the_end_of_its_log() -> None:
    with pytest.raises(BenchmarkError, match=r"exit status 1(.|\n)*ValueError: it went wrong"):
        run_isolated(THIS_MODULE, "fail")


def test_process_without_a_result_is_a_failure() -> None:
    with pytest.raises(BenchmarkError, match="exit status 0"):
        run_isolated(THIS_MODULE, "leave")


def test_photographs_have_the_stated_size_and_lie_in_three_classes(tmp_path: Path) -> None:
    folder = photographs.photographs_folder(7, tmp_path)
    sizes = Counter(path.parent.name for path in folder.glob("*/*.jpg"))
    assert sizes == {"class_0": 3, "class_1": 2, "class_2": 2}
    for path in folder.glob("*/*.jpg"):
        with Image.open(path) as image:
            assert (image.size, image.format) == ((500, 375), "JPEG")


def test_photographs_differ_and_the_smaller_set_begins_the_larger(tmp_path: Path) -> None:
    small, large = (photographs.photographs_folder(number, tmp_path) for number in (6, 12))
    contents = {path.relative_to(large): path.read_bytes() for path in large.glob("*/*.jpg")}
    assert len(set(contents.values())) == 12
    for path in small.glob("*/*.jpg"):
        assert path.read_bytes() == contents[path.relative_to(small)]
    assert photographs.warm_up(large) == sum(map(len, contents.values()))


def test_photographs_are_made_once(tmp_path: Path) -> None:
    folder = photographs.photographs_folder(3, tmp_path)
    times = [path.stat().st_mtime_ns for path in folder.glob("*/*.jpg")]
    assert photographs.photographs_folder(3, tmp_path) == folder
    assert [path.stat().st_mtime_ns for path in folder.glob("*/*.jpg")] == times
    assert list(tmp_path.iterdir()) == [folder]


def test_rounds_are_interleaved_and_stock_runs_once() -> None:
    plan = ingest_plan.plan_of((20, 60), (1, 3), (2, 6), num_rounds=2)
    runs = [(variant.name, size) for variant, size in ingest_plan.schedule(plan)]
    large = (ingest_plan.OURS_LARGE, ingest_plan.LIMIT_LARGE, ingest_plan.SCALED)
    first = [
        *(("thaw", 20), ("tf.data", 20), *((name, 1) for name in large)),
        *(("thaw", 60), ("tf.data", 60), *((name, 3) for name in large)),
    ]
    assert runs == [("stock TFX", 2), ("stock TFX", 6), *first, *reversed(first)]


def test_ingest_figures_are_ratios_of_slopes_between_medians() -> None:
    plan = ingest_plan.plan_of((2000, 10_000), (40, 160), (200, 600), num_rounds=3)
    seconds_of = {
        ingest_plan.OURS: lambda size: 9 + size / 100,
        ingest_plan.LIMIT: lambda size: 1 + size / 160,
        ingest_plan.OURS_LARGE: lambda size: 9 + size / 8,
        ingest_plan.LIMIT_LARGE: lambda size: 1 + size / 10,
        ingest_plan.SCALED: lambda size: 9 + size / 16,
        ingest_plan.STOCK: lambda size: 30 + size / 8,
    }
    runs = [
        _run(variant, size, seconds_of[variant.name](size) + noise)
        for variant in plan.variants
        for size in variant.sizes
        for noise in ((-1, 0, 100) if variant.is_repeated else (0,))
    ]
    summaries = [ingest_plan.summarize(variant, runs) for variant in plan.variants]
    reading = {"read_images_per_s": 1000.0, "consumed_images_per_s": 210.0}
    figures = {figure.name: figure for figure in ingest.figures_of(summaries, reading)}
    values = {name: figure.value for name, figure in figures.items()}
    assert values["thaw: slope"] == pytest.approx(100)
    assert values["thaw: fixed cost"] == pytest.approx(9)
    assert values["thaw: 2,000 photographs, time"] == pytest.approx(29)
    assert values["thaw: 10,000 photographs, peak memory"] == 1000
    assert values["thaw / tf.data, images/s"] == pytest.approx(0.625)
    assert values["thaw / stock TFX, images/s"] == pytest.approx(12.5)
    assert values["12 MP: scaled decoding / full decoding, images/s"] == pytest.approx(2)
    assert values["thaw: statistics and validation add"] == pytest.approx(8)
    assert values["thaw: examples"] == 40_000
    missed = {name for name, figure in figures.items() if figure.holds is False}
    assert missed == {"reading back / consumption"}


def _run(variant: ingest_plan.Variant, num_photographs: int, duration_s: float) -> ingest_plan.Run:
    result = {
        "durations_s": {
            "ImageExampleGen": duration_s / 4,
            "Transform": duration_s * 3 / 4,
            "SchemaGen": duration_s * 0.08,
        },
        "memory_after_imports_mib": 900,
        "bytes_per_image": {"examples": 40_000},
    }
    return ingest_plan.Run(variant, num_photographs, Measurement(result, 1000.0))


def test_one_seed_in_which_harm_did_good_breaks_the_harmful_goal() -> None:
    assert _holding("harmful", [(0.9, 0.5), (0.9, 0.89)]) == {"harmful: largest gain of a seed": True}
    assert _holding("harmful", [(0.9, 0.5), (0.9, 0.91)]) == {"harmful: largest gain of a seed": False}


def test_gain_within_seed_noise_breaks_the_goal_of_the_good_configuration() -> None:
    clear = _holding("config", [(0.90, 0.95), (0.90, 0.96), (0.90, 0.94)])
    assert set(clear.values()) == {True}
    noisy = _holding("config", [(0.90, 0.95), (0.90, 0.99), (0.90, 0.91)])
    assert noisy == {"config: gain, mean": True, "config: gain, mean less 2 standard deviations": False}


def _holding(configuration: str, accuracies: Sequence[tuple[float, float]]) -> dict[str, bool | None]:
    rows = [
        {"seed": seed, "baseline_accuracy": frozen, "accuracy": tuned, "duration_s": 1.0}
        for seed, (frozen, tuned) in enumerate(accuracies)
    ]
    return {figure.name: figure.holds for figure in training.figures_of(configuration, rows) if figure.goal}


def test_deviation_is_that_of_a_sample() -> None:
    assert mean_and_deviation([1.0, 3.0]) == pytest.approx((2.0, 2**0.5))
    assert mean_and_deviation([4.0]) == (4.0, 0.0)


@pytest.mark.slow
def test_accuracy_counts_every_example_once_and_no_padding(tmp_path: Path) -> None:
    import tensorflow as tf

    from benchmarks.training_variant import accuracy
    from trainer.datasets import open_split
    from trainer.features import LABEL_ID, PIXELS
    from trainer.images import pack

    def example(label_id: int) -> bytes:
        pixels = pack(tf.fill([8, 8, 3], tf.constant(label_id, tf.uint8))).numpy()
        features = {
            PIXELS: tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
            LABEL_ID: tf.train.Feature(int64_list=tf.train.Int64List(value=[label_id])),
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    with tf.io.TFRecordWriter(str(tmp_path / "examples")) as writer:
        for label_id in [0] * 30 + [1] * 100 + [2] * 70:
            writer.write(example(label_id))
    split = open_split(str(tmp_path), 8)

    def always(label_id: int) -> Any:
        return lambda inputs, training: tf.one_hot(tf.fill([tf.shape(inputs["pixels"])[0]], label_id), 3)

    assert [accuracy(always(label_id), split) for label_id in range(3)] == [0.15, 0.5, 0.35]


@pytest.mark.slow
def test_thaw_and_plain_tf_data_make_the_same_images(tmp_path: Path) -> None:
    folder = photographs.photographs_folder(120, tmp_path)
    result = run_isolated(THIS_MODULE, "compare", folder).result
    assert result["num_distinct"] == 120
    assert result["num_common"] == 120


# The other side of `run_isolated` in the tests above.


def _allocate(num_mib: int) -> dict[str, int]:
    content = b"x" * (num_mib * 1024**2)
    return {"num_mib": len(content) // 1024**2}


def _compare(folder: Path, work: Path) -> dict[str, int]:
    import tensorflow as tf

    from benchmarks.ingest_variants import IMAGE_SIZE_PX, measure_thaw, plain_batches
    from trainer.datasets import evaluation_batches, open_split

    measure_thaw(folder, work)
    splits = [open_split(str(split), IMAGE_SIZE_PX) for split in work.glob("artifacts/Transform/*/*/Split-*")]
    ours = [
        image
        for split in splits
        for inputs, _, weights in evaluation_batches(split, 16)
        for image in tf.boolean_mask(inputs["pixels"], weights > 0)
    ]
    plain = [image for batch in plain_batches(folder) for image in batch]
    ours_counted, plain_counted = (
        Counter(hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images) for images in (ours, plain)
    )
    return {"num_distinct": len(plain_counted), "num_common": (ours_counted & plain_counted).total()}


def _measured(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    match arguments:
        case ["allocate", num_mib]:
            return _allocate(int(num_mib))
        case ["allocate_in_child", num_mib]:
            run_isolated(THIS_MODULE, "allocate", num_mib)
        case ["compare", folder]:
            return _compare(Path(folder), work)
        case ["leave"]:
            raise SystemExit(0)
        case ["fail"]:
            raise ValueError("it went wrong")
    return {}


if __name__ == "__main__":
    report_from(_measured)
