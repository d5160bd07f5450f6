"""Compiles the pipeline for Kubeflow Pipelines: TFX's KubeflowV2DagRunner, and what it leaves out.

The graph is the one that runs locally. What is added here are our own command, the parameters of a submission, and what
the configuration says of each step's pod. The text is a function of the configuration and of our code alone.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base import base_component, base_node
from tfx.orchestration import pipeline
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.utils import name_utils

from components.driver import PropertyDriver
from components.fine_tuner.cache_place import CachePlace
from pipeline.beam import give_beam_arguments
from pipeline.config import Configuration, KubeflowSettings
from pipeline.config.beam import BEAM_STEPS
from pipeline.config.kubeflow import StepName, StepSettings
from pipeline.graph import build_components
from pipeline.kubeflow_parameters import promote
from pipeline.kubeflow_platform import platform_spec
from trainer.errors import ConfigurationError

COMMAND = ("python", "-P", "-m", "components.kubeflow_entrypoint")
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"
_HEADER = "# Made by `thaw compile`; change the configuration, not this file.\n"
_FIRST_RETRY_AFTER_S = 60

Spec = dict[str, Any]


def compile_pipeline(configuration: Configuration) -> str:
    """The pipeline as YAML: its specification, and, where pods need more, a second document for Kubernetes.

    Raises:
        ConfigurationError: there is no section `infrastructure.kubeflow`.
    """
    spec, platform = specifications(configuration)
    documents = [spec, platform] if platform else [spec]
    text = yaml.safe_dump_all(documents, sort_keys=True, allow_unicode=True, width=120)
    return f"{_HEADER}# Name: {configuration.name}\n{text}"


def specifications(configuration: Configuration) -> tuple[Spec, Spec]:
    """Both documents as plain values; the second one is empty where no pod needs more.

    Raises:
        ConfigurationError: see `compile_pipeline`.
    """
    settings = configuration.infrastructure.kubeflow
    if settings is None:
        raise ConfigurationError(
            "infrastructure.kubeflow is missing: it names the image that the steps run in, as in\n"
            "  infrastructure: {kubeflow: {image: registry.example/thaw:1.0}}"
        )
    _check_beam(configuration)
    nodes = give_beam_arguments(build_components(configuration), configuration.infrastructure.beam)
    spec = _compiled(configuration, nodes)
    for node in nodes:
        _complete(spec, node, configuration, settings)
    promote(spec)
    _write_inputs_specs(spec)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())  # what is no valid specification fails here
    return spec, platform_spec({_executor(spec, node.id): settings.of(cast(StepName, node.id)) for node in nodes})


def _check_beam(configuration: Configuration) -> None:
    for step in BEAM_STEPS:
        beam = configuration.infrastructure.beam.of(step)
        if beam.is_remote and not beam.is_elsewhere:
            raise ConfigurationError(
                f"infrastructure.beam.workers.this_machine is true for {step}; a job server cannot reach the process "
                "of a pod; name a pool, an image or a command"
            )


def _compiled(configuration: Configuration, nodes: Sequence[base_node.BaseNode]) -> Spec:
    infrastructure = configuration.infrastructure
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=infrastructure.kubeflow.image if infrastructure.kubeflow else None,
            default_commands=list(COMMAND),
            use_pipeline_spec_2_1=True,
        )
    )
    job = runner.run(
        pipeline.Pipeline(
            pipeline_name=configuration.name,
            pipeline_root="",  # a submission names it; the specification does not
            components=list(nodes),
            enable_cache=True,
        ),
        write_out=False,
    )
    return cast(Spec, job["pipelineSpec"])


def _complete(spec: Spec, node: base_node.BaseNode, configuration: Configuration, settings: KubeflowSettings) -> None:
    """What the configuration says of a step, and TFX does not pass on."""
    step = settings.of(cast(StepName, node.id))
    task = spec["root"]["dag"]["tasks"][node.id]
    container = spec["deploymentSpec"]["executors"][_executor(spec, node.id)]["container"]
    container["image"] = step.image
    if resources := _resources(step):
        container["resources"] = resources
    environment = {**step.environment, **(_cache(configuration) if node.id == "FineTuner" else {})}
    if environment:
        container["env"] = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    container["args"] += _own_arguments(node, settings)
    if not step.cache:
        task["cachingOptions"] = {}
    if step.retries:
        task["retryPolicy"] = {
            "maxRetryCount": step.retries,
            "backoffDuration": f"{_FIRST_RETRY_AFTER_S}s",
            "backoffFactor": 2.0,
        }


def _cache(configuration: Configuration) -> dict[str, str]:
    """For the cache of activations, where a folder of the container is named for it, or it is required or off."""
    mode, cache = configuration.model.cache, configuration.infrastructure.cache
    if cache.folder is None and mode == "auto":
        return {}
    folder = None if cache.folder is None else str(cache.folder)
    return CachePlace(mode, folder, cache.max_gib).to_environment()


def _resources(step: StepSettings) -> Spec:
    resources: Spec = {}
    for key, value in (("Cpu", step.cpu), ("Memory", step.memory)):
        if value is not None:
            resources |= {f"resource{key}Request": value, f"resource{key}Limit": value}
    if step.gpus:
        resources["accelerator"] = {"resourceType": step.gpu_type, "resourceCount": str(step.gpus)}
    return resources


def _own_arguments(node: base_node.BaseNode, settings: KubeflowSettings) -> list[str]:
    """For our command; it runs the drivers, which Kubeflow does not."""
    arguments = []
    if isinstance(node, base_component.BaseComponent) and issubclass(node.DRIVER_CLASS, PropertyDriver):
        arguments += ["--driver_class_path", name_utils.get_full_name(node.DRIVER_CLASS)]
    if node.id == "FineTuner" and settings.checkpoints is not None:
        arguments += [f"--checkpoints={settings.checkpoints}"]
    return arguments


def _write_inputs_specs(spec: Spec) -> None:
    """Our command learns the types of inputs from its arguments: they must tell of the promoted parameters, too."""
    for name, component in spec["components"].items():
        arguments = spec["deploymentSpec"]["executors"][_executor(spec, name)]["container"]["args"]
        text = json.dumps(component.get("inputDefinitions", {}), sort_keys=True, separators=(",", ":"))
        arguments[arguments.index(_INPUTS_SPEC) + 1] = text


def _executor(spec: Spec, name: str) -> str:
    return str(spec["components"][name]["executorLabel"])
