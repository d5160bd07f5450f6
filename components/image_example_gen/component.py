"""ImageExampleGen: class folders of photographs in, examples and an account of what was refused out."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import component_spec, standard_artifacts

from components.artifacts import Quarantine
from components.digest import code_digest
from components.image_example_gen import driver, executor


class ImageExampleGenSpec(component_spec.ComponentSpec):
    """Interface of ImageExampleGen, in the terms of TFX's own example generators."""

    PARAMETERS = {
        "input_base": component_spec.ExecutionParameter(type=str),
        "input_config": component_spec.ExecutionParameter(type=example_gen_pb2.Input),
        "output_config": component_spec.ExecutionParameter(type=example_gen_pb2.Output),
        "max_refused_fraction": component_spec.ExecutionParameter(type=float),
        "max_image_pixels": component_spec.ExecutionParameter(type=int),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "quarantine": component_spec.ChannelParameter(type=Quarantine),
    }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Reads class folders of JPEG and PNG files.

    Its driver fingerprints the files, so that the cache notices changed, added and removed ones.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        input_base: str,
        input_config: example_gen_pb2.Input,
        output_config: example_gen_pb2.Output,
        max_refused_fraction: float,
        max_image_pixels: int,
    ) -> None:
        """Makes the component.

        Args:
            input_base: folder of class folders.
            input_config: one split with a pattern, to be partitioned by content hash; or several, each kept as it is.
            output_config: with one input split, the output splits and their hash buckets; else empty.
            max_refused_fraction: the largest share of files that may be refused, in [0, 1].
            max_image_pixels: the most pixels of an image; more are refused.
        """
        super().__init__(
            spec=ImageExampleGenSpec(
                input_base=input_base,
                input_config=input_config,
                output_config=output_config,
                max_refused_fraction=max_refused_fraction,
                max_image_pixels=max_image_pixels,
                code_digest=code_digest(executor.__name__),
                examples=types.Channel(type=standard_artifacts.Examples),
                quarantine=types.Channel(type=Quarantine),
            )
        )
