"""A compiled pipeline, small."""

from collections.abc import Callable
from typing import Any

Thaw = Callable[..., tuple[int, str, str]]
"""Runs a command of `thaw`: (exit status, standard output, standard error)."""

STEPS = ("ImageExampleGen", "FineTuner", "Gate", "Pusher")


def specification(**changes: Any) -> dict[str, Any]:
    """A pipeline of four containers, each after the one before it, with the parameters that a compiled one has."""
    components = {
        f"comp-{name}": {"executorLabel": f"exec-{name}", "outputDefinitions": {"artifacts": {}}} for name in STEPS
    }
    executors = {f"exec-{name}": {"container": {"image": "thaw:1", "command": ["thaw"]}} for name in STEPS}
    tasks = {
        # Backwards, since the file's order need not be that of the steps.
        name: {
            "taskInfo": {"name": name},
            "componentRef": {"name": f"comp-{name}"},
            "dependentTasks": [STEPS[STEPS.index(name) - 1]] if name != STEPS[0] else [],
        }
        for name in reversed(STEPS)
    }
    parameters = {
        "images": {"parameterType": "STRING", "defaultValue": "s3://photos/{SPAN}"},
        "span": {"parameterType": "STRING", "defaultValue": ""},
        "num_steps": {"parameterType": "NUMBER_INTEGER", "defaultValue": 5},
    }
    return {
        "pipelineInfo": {"name": "digits"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "tfx-1.21.0",
        "components": components,
        "deploymentSpec": {"executors": executors},
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": parameters}},
        **changes,
    }
