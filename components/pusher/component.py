"""Pusher: a blessed model becomes the newest version of a folder that a model server watches."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components import artifacts
from components.digest import code_digest
from components.pusher import driver, executor
from components.pusher.serving import ModelServer


class PusherSpec(component_spec.ComponentSpec):
    """Interface of Pusher."""

    PARAMETERS = {
        "push_destination": component_spec.ExecutionParameter(type=str),
        "model_server": component_spec.ExecutionParameter(type=str, optional=True),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "verdict": component_spec.ChannelParameter(type=artifacts.Verdict),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Pushes only what is blessed and complete.

    It runs every time, whatever the cache holds, and publishes nothing where the newest version is this model already.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        verdict: types.BaseChannel,
        push_destination: str,
        model_server: ModelServer | None = None,
    ) -> None:
        """Makes the component.

        Args:
            model: what the gate has let out; it may be empty where it is not blessed.
            model_blessing: without it nothing is pushed.
            verdict: of the gate; the manifest of the model server names it.
            push_destination: folder of the versions.
            model_server: what each version gets a manifest for; None for none.
        """
        super().__init__(
            spec=PusherSpec(
                model=model,
                model_blessing=model_blessing,
                verdict=verdict,
                push_destination=push_destination,
                model_server=None if model_server is None else model_server.model_dump_json(),
                code_digest=code_digest(executor.__name__),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
