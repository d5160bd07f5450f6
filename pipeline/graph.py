"""The pipeline, from photographs to a pushed model: wiring only. Where it runs is the runner's affair."""

from collections.abc import Sequence

from tfx.dsl.components.base import base_node

from components.data_validation.importing import ImportSchema
from components.data_validation.schema import SchemaGen
from components.data_validation.statistics import StatisticsGen
from components.data_validation.validator import ExampleValidator
from components.evaluator.component import Evaluator
from components.evaluator.settings import EvaluationSettings
from components.fine_tuner.component import FineTuner
from components.gate.component import Gate
from components.image_example_gen.component import ImageExampleGen
from components.pusher.component import Pusher
from components.transform.component import Transform
from pipeline.config import Configuration


def build_components(configuration: Configuration) -> Sequence[base_node.BaseNode]:
    """All components, wired, in the order of the data."""
    data, model = configuration.data, configuration.model
    gate_settings, infrastructure = configuration.gate, configuration.infrastructure

    example_gen = ImageExampleGen(data)
    statistics_gen = StatisticsGen(
        examples=example_gen.outputs["examples"], quarantine=example_gen.outputs["quarantine"]
    )
    schema_gen = (
        ImportSchema(schema_file=str(data.schema_path)).with_id("SchemaGen")
        if data.schema_path
        else SchemaGen(statistics=statistics_gen.outputs["statistics"], exclude_splits=["eval", "test"])
    )
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    )
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        settings={
            "image_size_px": model.image_size_px,
            "background_rgb": data.background_rgb,
            "max_image_pixels": data.max_image_pixels,
            "scaled_decoding": data.scaled_decoding,
        },
    )
    transform.add_upstream_node(example_validator)
    fine_tuner = FineTuner(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        settings=model,
        num_cpu_replicas=infrastructure.num_cpu_replicas,
        gpus=infrastructure.gpus,
        push_destination=str(infrastructure.push_destination),
    )
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=fine_tuner.outputs["model"],
        baseline_model=fine_tuner.outputs["baseline_model"],
        settings=EvaluationSettings(min_accuracy=gate_settings.floors.get("accuracy", 0.0), top_k=gate_settings.top_k),
    )
    gate = Gate(
        examples=example_gen.outputs["examples"],
        model=fine_tuner.outputs["model"],
        baseline_model=fine_tuner.outputs["baseline_model"],
        evaluation=evaluator.outputs["evaluation"],
        evaluation_blessing=evaluator.outputs["blessing"],
        training_record=fine_tuner.outputs["training_record"],
        quarantine=example_gen.outputs["quarantine"],
        push_destination=str(infrastructure.push_destination),
        settings=gate_settings,
    )
    pusher = Pusher(
        model=gate.outputs["approved_model"],
        model_blessing=gate.outputs["blessing"],
        verdict=gate.outputs["verdict"],
        push_destination=str(infrastructure.push_destination),
        model_server=configuration.model_server,
    )
    return [
        example_gen,
        statistics_gen,
        schema_gen,
        example_validator,
        transform,
        fine_tuner,
        evaluator,
        gate,
        pusher,
    ]
