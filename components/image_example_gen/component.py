"""ImageExampleGen: photographs in, examples and an account of what was refused out."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import Quarantine
from components.digest import code_digest
from components.image_example_gen import driver, executor
from components.image_example_gen.settings import IngestionSettings


class ImageExampleGenSpec(component_spec.ComponentSpec):
    """Interface of ImageExampleGen; `settings` is an `IngestionSettings` as JSON."""

    PARAMETERS = {
        "settings": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "quarantine": component_spec.ChannelParameter(type=Quarantine),
    }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Reads photographs from class folders, manifests or records; in folders, archives or buckets.

    Its driver fingerprints what is there, so that the cache notices changed, added and removed photographs, and a new
    span.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(self, settings: IngestionSettings) -> None:
        """Makes the component.

        Args:
            settings: which photographs there are, what is accepted of them, and how they are shared out.
        """
        super().__init__(
            spec=ImageExampleGenSpec(
                settings=settings.to_json(),
                code_digest=code_digest(executor.__name__),
                examples=types.Channel(type=standard_artifacts.Examples),
                quarantine=types.Channel(type=Quarantine),
            )
        )
