"""What several folders of tests share; nothing heavy is imported until a test asks for it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NUM_LOGICAL_CPUS = 2
IMAGE_SIZE_PX = 8

# Class folders as people name them: with a space and a letter beyond ASCII.
DIGIT_NAMES = ("zéro", "number one", "two")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests by file, they begin with the slow files, so that all end together."""
    if hasattr(config, "workerinput"):
        slow_files = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow_files)


@pytest.fixture(scope="session")
def logical_cpus() -> int:
    """Two CPU devices in this process; to be asked for by whatever test is the first to touch TensorFlow."""
    from trainer import devices

    devices.prepare(NUM_LOGICAL_CPUS)
    return NUM_LOGICAL_CPUS


@pytest.fixture(scope="session", autouse=True)
def _devices_of_all_files(request: pytest.FixtureRequest) -> None:
    """A process that is handed one file after the other must not have started TensorFlow with other devices before."""
    if hasattr(request.config, "workerinput"):
        request.getfixturevalue("logical_cpus")


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Real handwritten digits 0, 1 and 2: uint8 RGB [images, 8, 8, 3], and their classes, int64 [images]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    chosen = np.flatnonzero(bunch.target < len(DIGIT_NAMES))[:120]
    grey = np.rint(bunch.images[chosen] / 16 * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), bunch.target[chosen].astype(np.int64)


@pytest.fixture(scope="session")
def digit_files(digits: tuple[np.ndarray, np.ndarray]) -> list[tuple[bytes, str]]:
    """The digits as (bytes of a PNG of 20×20 pixels, name of its class)."""
    pixels, labels = digits
    return [(encode(image, size_px=20), DIGIT_NAMES[label]) for image, label in zip(pixels, labels, strict=True)]


@pytest.fixture(scope="session")
def transform_graph(make_transform_graph: Callable[..., Path]) -> Path:
    """The real preprocessing graph, written by tf.Transform through Beam from the digits."""
    return make_transform_graph()


@pytest.fixture(scope="session")
def make_transform_graph(
    tmp_path_factory: pytest.TempPathFactory, digit_files: list[tuple[bytes, str]]
) -> Callable[..., Path]:
    """Writes such a graph, with further settings of preprocessing if they are given."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import schema_utils
    from tfx_bsl.public import tfxio

    from benchmarks import zoo
    from components.in_process_runner import InProcessRunner
    from trainer.preprocessing import RAW_FEATURE_SPEC, preprocessing_fn

    def make(**further: object) -> Path:
        folder = tmp_path_factory.mktemp("transform")
        settings = {"image_size_px": IMAGE_SIZE_PX, "background_rgb": zoo.BACKGROUND, **further}
        with tf.io.TFRecordWriter(str(folder / "raw")) as writer:
            for content, label in digit_files:
                values = {"image": content, "label": label.encode()}
                features = {name: {"bytes_list": {"value": [value]}} for name, value in values.items()}
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
        # Not from a list of dictionaries: after that way into tf.Transform the process crashes when it exits.
        raw = tfxio.TFExampleRecord(
            str(folder / "raw"),
            schema=schema_utils.schema_from_feature_spec(RAW_FEATURE_SPEC),
            telemetry_descriptors=["tests"],
        )
        options = beam.options.pipeline_options.PipelineOptions(["--direct_running_mode=in_memory"])
        with (
            beam.Pipeline(InProcessRunner(), options=options) as pipeline,
            tft_beam.Context(temp_dir=str(folder / "temporary"), force_tf_compat_v1=False),
        ):
            transform_fn = (pipeline | raw.BeamSource(), raw.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(
                lambda inputs: preprocessing_fn(inputs, settings)
            )
            transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        return folder / "graph"

    return make


@pytest.fixture
def most_memory_mib() -> Callable[[Callable[[], object]], float]:
    """Calls a function and returns by how much it made the process's memory grow at most."""
    from benchmarks.isolation import memory_so_far_mib

    forget = Path("/proc/self/clear_refs")  # proc(5): "5" makes the peak what is resident now
    if not forget.exists():
        pytest.skip("this system cannot forget a process's peak of memory")

    def measure(call: Callable[[], object]) -> float:
        forget.write_text("5")
        before_mib = memory_so_far_mib()
        call()
        return memory_so_far_mib() - before_mib

    return measure


def encode(pixels: np.ndarray, size_px: int | None = None, file_format: str = "PNG") -> bytes:
    """The bytes of an image file; enlarged to a square where a size is given."""
    image = Image.fromarray(pixels)
    if size_px is not None:
        image = image.resize((size_px, size_px), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()
