"""Two-phase fine-tuning with TFX as it comes: float pixels out of Transform, and a `run_fn` with Keras's fit.

For measured processes only: importing it imports TFX.
"""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components import Trainer
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.components.base import base_node
from tfx.proto import example_gen_pb2, trainer_pb2
from tfx_bsl.public.tfxio import TensorFlowDatasetOptions

from benchmarks.frozen_scripts import two_phases
from benchmarks.stock_path import stock_components
from trainer.features import IMAGE, LABEL

_PIXELS, _LABEL_ID = "pixels", "label_id"


def components_of(photographs: str, case: dict[str, Any], schema_gen: base_node.BaseNode) -> list[base_node.BaseNode]:
    """ExampleGen, Transform and Trainer."""
    split_config = example_gen_pb2.SplitConfig
    splits = [split_config.Split(name=name, hash_buckets=weight) for name, weight in case["splits"].items()]
    example_gen, transform = stock_components(
        photographs,
        input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="all", pattern="*/*")]),
        output_config=example_gen_pb2.Output(split_config=split_config(splits=splits)),
        schema_gen=schema_gen,
        preprocessing=f"{__name__}.{preprocessing_fn.__name__}",
        custom_config={"image_size_px": case["image_size_px"]},
    )
    trainer = Trainer(
        run_fn=f"{__name__}.{run_fn.__name__}",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_gen.outputs["schema"],
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={"case": case},
    )
    return [example_gen, transform, trainer]


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, int]) -> dict[str, tf.Tensor]:
    """tf.Transform's entry point: a float per value, from -1 to 1, as MobileNetV2 takes it."""
    size = custom_config["image_size_px"]

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        pixels = tf.image.resize(tf.io.decode_jpeg(encoded, channels=3), [size] * 2, antialias=True)
        return pixels / 127.5 - 1.0

    pixels = tf.map_fn(decode, tf.squeeze(inputs[IMAGE], axis=1), fn_output_signature=tf.float32)
    return {
        _PIXELS: tf.ensure_shape(pixels, [None, size, size, 3]),
        _LABEL_ID: tft.compute_and_apply_vocabulary(inputs[LABEL]),
    }


def run_fn(arguments: FnArgs) -> None:
    """Trainer's entry point; leaves the accuracy beside the model."""
    case = arguments.custom_config["case"]
    schema = tft.TFTransformOutput(arguments.transform_output).transformed_metadata.schema

    def batches(files: Any, is_shuffled: bool) -> tf.data.Dataset:
        options = TensorFlowDatasetOptions(
            batch_size=case["batch_size"], shuffle=is_shuffled, num_epochs=1, label_key=_LABEL_ID
        )
        return arguments.data_accessor.tf_dataset_factory(files, options, schema).map(
            lambda features, label: (features[_PIXELS], label[:, 0])
        )

    keras.utils.set_random_seed(0)
    model, accuracy = two_phases(
        batches(arguments.train_files, True), batches(arguments.eval_files, False), case, is_scaled=True
    )
    model.export(arguments.serving_model_dir, verbose=False)
    with tf.io.gfile.GFile(f"{case['work']}/accuracy.txt", "w") as file:
        file.write(str(accuracy))
