"""`thaw compile`."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipeline.cli.screen import short_path
from pipeline.config import Configuration, load_configuration
from pipeline.config.kubeflow import StepName
from trainer.errors import ConfigurationError

STANDARD_OUTPUT = Path("-")


def compile_(config_path: Path, output: Path, overrides: Sequence[str]) -> int:
    """Writes the pipeline for Kubeflow Pipelines.

    Returns:
        The exit status.
    """
    configuration = load_configuration(config_path, overrides)
    if output != STANDARD_OUTPUT and output.suffix not in (".yaml", ".yml"):
        raise ConfigurationError(f"-o {output}: Kubeflow takes pipelines as .yaml or .yml files; name one, or -")
    if output != STANDARD_OUTPUT and not output.absolute().parent.is_dir():
        raise ConfigurationError(f"-o {output}: there is no folder {str(output.absolute().parent)!r}; make it first")

    from pipeline.kubeflow_runner import compile_pipeline

    text = compile_pipeline(configuration)
    for words in unmounted_places(configuration):
        print(f"! {words}", file=sys.stderr)
    if output == STANDARD_OUTPUT:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")
        print(f"written: {short_path(output.absolute())}")
    return 0


def unmounted_places(configuration: Configuration) -> Iterator[str]:
    """What the configuration names by a path that no volume of the step holds."""
    settings = configuration.infrastructure.kubeflow
    assert settings is not None
    for key, place, steps, so in _places(configuration):
        for step in steps:
            mounted = [volume.mount_path for volume in settings.of(step).volumes]
            if "://" not in place and not any(PurePosixPath(place).is_relative_to(path) for path in mounted):
                yield f"{key} is {place!r}, and {step} mounts no volume there: {so}"


def _places(configuration: Configuration) -> Iterator[tuple[str, str, tuple[StepName, ...], str]]:
    in_image = "it must be in the image"
    yield "data.images", configuration.data.images, ("ImageExampleGen",), in_image
    if configuration.data.schema_path is not None:
        yield "data.schema", str(configuration.data.schema_path), ("SchemaGen",), in_image
    if configuration.model.weights_path is not None:
        yield "model.weights", str(configuration.model.weights_path), ("FineTuner",), in_image
    destination = str(configuration.infrastructure.push_destination)
    lost = "what is pushed is gone with the pod, and no production model is found"
    yield "infrastructure.push_destination", destination, ("Gate", "Pusher"), lost
