"""Gate: the evaluation, both models and what is in production in; a blessing, a verdict and the approved model out."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.artifacts import Quarantine, Verdict
from components.digest import code_digest
from components.gate import driver, executor
from components.gate.settings import GateSettings


class GateSpec(component_spec.ComponentSpec):
    """Interface of Gate."""

    PARAMETERS = {
        "gate_settings": component_spec.ExecutionParameter(type=str),
        "push_destination": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "evaluation_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "training_record": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        "quarantine": component_spec.ChannelParameter(type=Quarantine),
    }
    OUTPUTS = {
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "verdict": component_spec.ChannelParameter(type=Verdict),
        "approved_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }


class Gate(base_component.BaseComponent):
    """Decides with known error rates whether the candidate may be pushed, and says why."""

    SPEC_CLASS = GateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        evaluation: types.BaseChannel,
        evaluation_blessing: types.BaseChannel,
        training_record: types.BaseChannel,
        quarantine: types.BaseChannel,
        push_destination: str,
        settings: GateSettings,
    ) -> None:
        """Makes the component.

        Args:
            examples: raw examples with a split test.
            model: the candidate.
            baseline_model: the frozen-only model of the same run.
            evaluation: TFMA's figures of both.
            evaluation_blessing: TFMA's own decision.
            training_record: of the candidate, for the report.
            quarantine: account of the ingestion, for the report.
            push_destination: folder whose newest version is the production model.
            settings: the rules.
        """
        super().__init__(
            spec=GateSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                evaluation=evaluation,
                evaluation_blessing=evaluation_blessing,
                training_record=training_record,
                quarantine=quarantine,
                gate_settings=settings.model_dump_json(),
                push_destination=push_destination,
                code_digest=code_digest(executor.__name__, "components.gate.ask_saved_model"),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                verdict=types.Channel(type=Verdict),
                approved_model=types.Channel(type=standard_artifacts.Model),
            )
        )
