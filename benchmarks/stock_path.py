"""The same work with TFX as it comes: encoded images in tf.Examples, then a float feature per pixel.

A `FileBasedExampleGen` with an executor that puts files into tf.Examples, and the stock Transform component with its
defaults, statistics included. This is how TFX's own examples handle images.
"""

from pathlib import PurePosixPath
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io import fileio
from tfx.components import FileBasedExampleGen, Transform
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.dsl.components.base import base_node, executor_spec
from tfx.proto import example_gen_pb2

from trainer.features import IMAGE, LABEL

IMAGE_SIZE_PX = 224


def stock_components(
    photographs: str,
    input_config: example_gen_pb2.Input,
    output_config: example_gen_pb2.Output,
    schema_gen: base_node.BaseNode,
    preprocessing: str | None = None,
    custom_config: dict[str, Any] | None = None,
) -> list[base_node.BaseNode]:
    """ExampleGen and Transform, by this module's `preprocessing_fn` or another's, which may take the config."""
    example_gen = FileBasedExampleGen(
        input_base=photographs,
        input_config=input_config,
        output_config=output_config,
        custom_executor_spec=executor_spec.BeamExecutorSpec(FilesToExamples),
    )
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn=preprocessing or f"{__name__}.{preprocessing_fn.__name__}",
        custom_config=custom_config,
    )
    return [example_gen, transform]


class FilesToExamples(BaseExampleGenExecutor):
    """The executor that the documentation of FileBasedExampleGen asks for."""

    def GetInputSourceToExamplePTransform(self) -> Any:
        """From a pattern of files to tf.Examples."""
        return _files_to_examples


@beam.ptransform_fn
@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
def _files_to_examples(pipeline: beam.Pipeline, exec_properties: dict[str, Any], split_pattern: str) -> Any:
    return (
        pipeline
        | "Match" >> fileio.MatchFiles(f"{exec_properties['input_base']}/{split_pattern}")
        | "Spread" >> beam.Reshuffle()
        | "Read" >> fileio.ReadMatches()
        | "ToExample" >> beam.Map(_to_example)
    )


def _to_example(file: fileio.ReadableFile) -> tf.train.Example:
    label = PurePosixPath(file.metadata.path).parent.name
    return tf.train.Example(
        features=tf.train.Features(feature={IMAGE: _bytes(file.read()), LABEL: _bytes(label.encode())})
    )


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """tf.Transform's entry point.

    Args:
        inputs: "image", "label": string [batch, 1].

    Returns:
        "pixels": float32 [batch, 224, 224, 3] from 0 to 1; "label_id": int64 [batch, 1].
    """
    pixels = tf.map_fn(_decode_and_resize, tf.squeeze(inputs[IMAGE], axis=1), fn_output_signature=tf.float32)
    return {
        "pixels": tf.ensure_shape(pixels, [None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3]),
        "label_id": tft.compute_and_apply_vocabulary(inputs[LABEL]),
    }


def _decode_and_resize(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_jpeg(encoded, channels=3)
    return tf.image.resize(pixels, [IMAGE_SIZE_PX, IMAGE_SIZE_PX], antialias=True) / 255.0
