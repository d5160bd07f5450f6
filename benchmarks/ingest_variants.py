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


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Takes the time of one variant, imports left out, on a folder of photographs.

    Returns:
        "durations_s": seconds by step; "memory_after_imports_mib".
    """
    variant, photographs = arguments
    measured = {"thaw": measure_thaw, "tf.data": measure_plain, "stock TFX": measure_stock}[variant]
    return measured(Path(photographs), work)


def measure_thaw(photographs: Path, work: Path) -> dict[str, Any]:
    """ImageExampleGen and Transform; the schema is given, so that no statistics are needed."""
    from benchmarks.pipelines import run_components
    from components.data_validation.importing import ImportSchema
    from components.image_example_gen.component import ImageExampleGen
    from components.image_example_gen.settings import IngestionSettings, SplitWeights
    from components.transform.component import Transform
    from trainer import devices

    devices.prepare(None)
    memory_mib = memory_so_far_mib()
    settings = IngestionSettings(images=str(photographs), splits=SplitWeights(**_SPLITS), max_refused_fraction=0.0)
    example_gen = ImageExampleGen(settings)
    schema_gen = ImportSchema(str(SCHEMA))
    transform = Transform(
        example_gen.outputs["examples"], schema_gen.outputs["schema"], {"image_size_px": IMAGE_SIZE_PX}
    )
    run = run_components([example_gen, schema_gen, transform], work)
    return _result(run.durations_s, ("ImageExampleGen", "Transform"), memory_mib)


def measure_stock(photographs: Path, work: Path) -> dict[str, Any]:
    """TFX as it comes, see `benchmarks.stock_path`."""
    from benchmarks.pipelines import run_components
    from benchmarks.stock_path import stock_components
    from components.data_validation.importing import ImportSchema

    memory_mib = memory_so_far_mib()
    schema_gen = ImportSchema(str(SCHEMA))
    components = stock_components(str(photographs), **_splitting(), schema_gen=schema_gen)
    run = run_components([*components, schema_gen], work)
    return _result(run.durations_s, ("FileBasedExampleGen", "Transform"), memory_mib)


def measure_plain(photographs: Path, _work: Path) -> dict[str, Any]:
    """tf.data reads, decodes and resizes; the batches are consumed, and nothing is written."""
    memory_mib = memory_so_far_mib_with_tensorflow()
    started_at_s = time.monotonic()
    num_images = sum(int(batch.shape[0]) for batch in plain_batches(photographs))
    duration_s = time.monotonic() - started_at_s
    num_files = len(list(photographs.glob("*/*.jpg")))
    if num_images != num_files:
        raise AssertionError(f"{num_images} images came out of {num_files} files")
    return _result({"tf.data": duration_s}, ("tf.data",), memory_mib)


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


def _result(durations_s: dict[str, float], steps: Sequence[str], memory_mib: float) -> dict[str, Any]:
    return {
        "durations_s": {step: durations_s[step] for step in steps},
        "memory_after_imports_mib": memory_mib,
    }


if __name__ == "__main__":
    report_from(measure)
