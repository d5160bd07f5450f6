"""Pusher: a blessed model becomes the newest version of a folder that a model server watches."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.digest import code_digest
from components.pusher import driver, executor


class PusherSpec(component_spec.ComponentSpec):
    """Interface of Pusher."""

    PARAMETERS = {
        "push_destination": component_spec.ExecutionParameter(type=str),
        "code_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Pushes only what is blessed and complete.

    It runs every time, whatever the cache holds, and publishes nothing where the newest version is this model already.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(self, model: types.BaseChannel, model_blessing: types.BaseChannel, push_destination: str) -> None:
        """Makes the component.

        Args:
            model: what the gate has let out; it may be empty where it is not blessed.
            model_blessing: without it nothing is pushed.
            push_destination: folder of the versions.
        """
        super().__init__(
            spec=PusherSpec(
                model=model,
                model_blessing=model_blessing,
                push_destination=push_destination,
                code_digest=code_digest(executor.__name__),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
