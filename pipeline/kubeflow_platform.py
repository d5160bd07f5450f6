"""What pods need beyond a container: the Kubernetes document of a compiled pipeline.

kfp-kubernetes writes it for tasks of its own SDK. Its functions ask nothing of a task but `platform_config`, so that
they serve for tasks that TFX has compiled, too.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from kfp import kubernetes

from pipeline.config import StepSettings

_SHARED_MEMORY = "/dev/shm"


def platform_spec(steps: Mapping[str, StepSettings]) -> dict[str, Any]:
    """The document.

    Args:
        steps: what is said of each step, by the label of its executor.

    Returns:
        A `PlatformSpec` as plain values; empty where no step needs it.
    """
    executors = {label: executor for label, step in steps.items() if (executor := _executor(step))}
    if not executors:
        return {}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _executor(step: StepSettings) -> dict[str, Any]:
    task = SimpleNamespace(platform_config={})
    for key, value in sorted(step.node_selector.items()):
        kubernetes.add_node_selector(task, key, value)
    for item in step.tolerations:
        kubernetes.add_toleration(task, item.key, item.operator, item.value, item.effect, item.seconds)
    for volume in step.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.mount_path, volume.sub_path)
    for secret in step.secrets:
        if secret.mount_path is not None:
            kubernetes.use_secret_as_volume(task, secret.name, secret.mount_path)
        else:
            kubernetes.use_secret_as_env(task, secret.name, dict(sorted(secret.environment.items())))
    if step.shared_memory_size is not None:
        kubernetes.empty_dir_mount(task, "shared-memory", _SHARED_MEMORY, "Memory", step.shared_memory_size)
    if step.timeout_s is not None:
        kubernetes.set_timeout(task, step.timeout_s)
    return dict(task.platform_config.get("kubernetes", {}))
