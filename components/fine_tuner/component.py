"""FineTuner: transformed examples in, fine-tuned model, frozen-only baseline and training record out."""

import json
from collections.abc import Sequence

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.digest import code_digest
from components.fine_tuner import driver, executor
from trainer.settings import LATEST, ModelSettings


class FineTunerSpec(component_spec.ComponentSpec):
    """Interface of FineTuner.

    No output's name begins with another's: some launchers fetch artifacts by the prefix of their name.
    """

    PARAMETERS = {
        "model_settings": component_spec.ExecutionParameter(type=str),
        "num_cpu_replicas": component_spec.ExecutionParameter(type=int, optional=True),
        "gpus": component_spec.ExecutionParameter(type=str, optional=True),
        "push_destination": component_spec.ExecutionParameter(type=str, optional=True),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "training_record": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }


class FineTuner(base_component.BaseComponent):
    """Fine-tunes in phases; the model at the end of the last wholly frozen phase is the baseline."""

    SPEC_CLASS = FineTunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        settings: ModelSettings,
        num_cpu_replicas: int | None = None,
        gpus: Sequence[int] | None = None,
        push_destination: str | None = None,
    ) -> None:
        """Makes the component.

        Args:
            examples: transformed examples with splits train and eval.
            transform_graph: that they went through.
            settings: what to train.
            num_cpu_replicas: logical CPU devices to train on; None for GPUs, or the CPU where there is none.
            gpus: numbers of the GPUs to train on; None for all.
            push_destination: folder of the pushed versions, for a warm start from the latest; not looked at otherwise.
        """
        super().__init__(
            spec=FineTunerSpec(
                examples=examples,
                transform_graph=transform_graph,
                # How the cache is used changes no result; see `components.fine_tuner.cache_place`.
                model_settings=settings.model_dump_json(exclude={"cache"}),
                num_cpu_replicas=num_cpu_replicas,
                gpus=None if gpus is None else json.dumps(list(gpus)),
                push_destination=push_destination if settings.warm_start == LATEST else None,
                code_digest=code_digest(executor.__name__),
                model=types.Channel(type=standard_artifacts.Model),
                baseline_model=types.Channel(type=standard_artifacts.Model),
                training_record=types.Channel(type=standard_artifacts.ModelRun),
            )
        )
