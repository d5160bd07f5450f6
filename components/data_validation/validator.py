"""ExampleValidator that stops the run: TFX's own only records anomalies, and whoever does not look trains on them."""

from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils

from trainer.errors import ThawError


class Executor(executor.Executor):
    """Compares the statistics of every split with the schema and fails on the first run that has an anomaly."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> execution_result_pb2.ExecutorOutput:
        output = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict["anomalies"])
        words = [
            line
            for split in artifact_utils.decode_split_names(artifact.split_names)
            for line in describe(split, _load(artifact, split))
        ]
        if words:
            raise ThawError("the data does not fit the schema:\n" + "\n".join(words))
        return output


def describe(split: str, anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One line per anomaly: split, feature, what was found."""
    lines = [
        f"  {split} / {name}: {info.description.rstrip('.')}" for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"  {split}: {anomalies.dataset_anomaly_info.description.rstrip('.')}")
    return lines


def _load(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{executor.DEFAULT_FILE_NAME}"
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


class ExampleValidator(component.ExampleValidator):
    """TFX's ExampleValidator with our executor."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
