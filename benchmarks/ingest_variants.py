"""One measured process of `benchmarks.ingest`: python -m benchmarks.ingest_variants VARIANT PHOTOGRAPHS WORK_FOLDER."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.isolation import memory_so_far_mib, report_from

IMAGE_SIZE_PX = 224
SCHEMA = Path(__file__).with_name("schema.pbtxt")
_SPLITS = {"train": 70, "eval": 15, "test": 15}
_PLAIN_BATCH_SIZE = 32
_CONSUMED_SIZE_PX = 160
_NUM_BATCHES_TO_CONSUME = 12


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Takes the time of one variant, imports left out, on a folder of photographs.

    Returns:
        "durations_s": seconds by step; "memory_after_imports_mib"; "bytes_per_image" by artifact. For "reading" what
        `measure_reading` returns.
    """
    variant, photographs = arguments
    measured = {
        "thaw": measure_thaw,
        "thaw, scaled": measure_scaled,
        "tf.data": measure_plain,
        "stock TFX": measure_stock,
        "reading": measure_reading,
    }[variant]
    return measured(Path(photographs), work)


def measure_scaled(photographs: Path, work: Path) -> dict[str, Any]:
    """As `measure_thaw`, with scaled decoding."""
    return measure_thaw(photographs, work, scaled_decoding=True)


def measure_thaw(photographs: Path, work: Path, scaled_decoding: bool = False) -> dict[str, Any]:
    """ImageExampleGen and Transform, and between them statistics and validation."""
    from benchmarks.pipelines import run_components
    from components.data_validation.schema import SchemaGen
    from components.data_validation.statistics import StatisticsGen
    from components.data_validation.validator import ExampleValidator
    from components.image_example_gen.component import ImageExampleGen
    from components.image_example_gen.settings import IngestionSettings, SplitWeights
    from components.transform.component import Transform
    from trainer import devices

    devices.prepare(None)
    memory_mib = memory_so_far_mib()
    settings = IngestionSettings(
        images=str(photographs), splits=SplitWeights(**_SPLITS), max_refused_fraction=0.0, stratify=True
    )
    example_gen = ImageExampleGen(settings)
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples, quarantine=example_gen.outputs["quarantine"])
    statistics = statistics_gen.outputs["statistics"]
    schema_gen = SchemaGen(statistics=statistics, exclude_splits=["eval", "test"])
    schema = schema_gen.outputs["schema"]
    validator = ExampleValidator(statistics=statistics, schema=schema)
    transform = Transform(examples, schema, {"image_size_px": IMAGE_SIZE_PX, "scaled_decoding": scaled_decoding})
    components = [example_gen, statistics_gen, schema_gen, validator, transform]
    run = run_components(components, work)
    return _result(run.durations_s, [component.id for component in components], memory_mib, _sizes(photographs, run))


def measure_reading(photographs: Path, work: Path) -> dict[str, float]:
    """How fast training data of 224² come back, and how fast a frozen MobileNetV2 at 160² takes images from memory.

    Returns:
        "read_images_per_s", "consumed_images_per_s".
    """
    import keras
    import tensorflow as tf

    from trainer.datasets import open_split, training_batches

    measure_thaw(photographs, work)
    (folder,) = work.glob("artifacts/Transform/transformed_examples/*/Split-train")
    split, num_epochs = open_split(str(folder), IMAGE_SIZE_PX), 10
    started_at_s = time.monotonic()
    num_read = sum(int(batch[2].shape[0]) for batch in training_batches(split, _PLAIN_BATCH_SIZE, 0, num_epochs))
    read_s = time.monotonic() - started_at_s

    shape = (_CONSUMED_SIZE_PX, _CONSUMED_SIZE_PX, 3)
    model = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=shape)
    consume = tf.function(lambda batch: model(batch, training=False))
    batch = tf.random.stateless_uniform((_PLAIN_BATCH_SIZE, *shape), seed=(0, 0))
    consume(batch)
    started_at_s = time.monotonic()
    for _ in range(_NUM_BATCHES_TO_CONSUME):
        consume(batch)
    consumed_s = time.monotonic() - started_at_s
    return {
        "read_images_per_s": num_read / read_s,
        "consumed_images_per_s": _NUM_BATCHES_TO_CONSUME * _PLAIN_BATCH_SIZE / consumed_s,
    }


def measure_stock(photographs: Path, work: Path) -> dict[str, Any]:
    """TFX as it comes, see `benchmarks.stock_path`."""
    from benchmarks.pipelines import run_components
    from benchmarks.stock_path import stock_components
    from components.data_validation.importing import ImportSchema

    memory_mib = memory_so_far_mib()
    schema_gen = ImportSchema(str(SCHEMA))
    components = stock_components(str(photographs), **_splitting(), schema_gen=schema_gen)
    run = run_components([*components, schema_gen], work)
    return _result(run.durations_s, ("FileBasedExampleGen", "Transform"), memory_mib, _sizes(photographs, run))


def measure_plain(photographs: Path, _work: Path) -> dict[str, Any]:
    """tf.data reads, decodes and resizes; the batches are consumed, and nothing is written."""
    memory_mib = memory_so_far_mib_with_tensorflow()
    started_at_s = time.monotonic()
    num_images = sum(int(batch.shape[0]) for batch in plain_batches(photographs))
    duration_s = time.monotonic() - started_at_s
    num_files = len(list(photographs.glob("*/*.jpg")))
    if num_images != num_files:
        raise AssertionError(f"{num_images} images came out of {num_files} files")
    return _result({"tf.data": duration_s}, ("tf.data",), memory_mib, {})


def plain_batches(photographs: Path) -> Any:
    """Dataset of uint8 [batch, 224, 224, 3], as much in parallel as tf.data finds best."""
    import tensorflow as tf

    def decode_and_resize(path: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        resized = tf.image.resize(pixels, [IMAGE_SIZE_PX, IMAGE_SIZE_PX], antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)

    return (
        tf.data.Dataset.list_files(f"{photographs}/*/*.jpg", shuffle=False)
        .map(decode_and_resize, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        .batch(_PLAIN_BATCH_SIZE)
        .prefetch(tf.data.AUTOTUNE)
    )


def memory_so_far_mib_with_tensorflow() -> float:
    """See `memory_so_far_mib`; imports TensorFlow first."""
    import tensorflow  # noqa: F401

    return memory_so_far_mib()


def _splitting() -> dict[str, Any]:
    from tfx.proto import example_gen_pb2

    split_config = example_gen_pb2.SplitConfig
    splits = [split_config.Split(name=name, hash_buckets=weight) for name, weight in _SPLITS.items()]
    return {
        "input_config": example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern="*/*")]),
        "output_config": example_gen_pb2.Output(split_config=split_config(splits=splits)),
    }


def _sizes(photographs: Path, run: Any) -> dict[str, float]:
    """Bytes per image: of the files as they came, and of each artifact."""
    sources = list(photographs.glob("*/*.jpg"))
    folders = {
        f"{name} ({component})": Path(uri)
        for component, outputs in run.outputs.items()
        for name, uri in outputs.uris.items()
    }
    sizes = {"photographs": sum(path.stat().st_size for path in sources)}
    for name, folder in folders.items():
        sizes[name] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {name: size / len(sources) for name, size in sizes.items()}


def _result(
    durations_s: dict[str, float], steps: Sequence[str], memory_mib: float, bytes_per_image: dict[str, float]
) -> dict[str, Any]:
    return {
        "durations_s": {step: durations_s[step] for step in steps},
        "memory_after_imports_mib": memory_mib,
        "bytes_per_image": bytes_per_image,
    }


if __name__ == "__main__":
    report_from(measure)
