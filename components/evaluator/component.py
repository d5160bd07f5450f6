"""TFX's Evaluator for an image classifier and its frozen-only baseline."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.digest import code_digest
from components.evaluator import executor
from components.evaluator.settings import EvaluationSettings


class EvaluatorSpec(component_spec.ComponentSpec):
    """Interface of our Evaluator: settings in place of a configuration that would need to know the classes."""

    PARAMETERS = {
        "evaluation_settings": component_spec.ExecutionParameter(type=str),
        "example_splits": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """Evaluates both models with TFMA on the test split, and always blesses the candidate or does not."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        settings: EvaluationSettings,
    ) -> None:
        """Makes the component.

        Args:
            examples: raw examples with a split test; the models decode them themselves, as they will when they serve.
            model: the candidate.
            baseline_model: the frozen-only model of the same run.
            settings: the least accuracy, and what is reported.
        """
        super().__init__(
            spec=EvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                evaluation_settings=settings.model_dump_json(),
                example_splits='["test"]',
                code_digest=code_digest(executor.__name__),
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
