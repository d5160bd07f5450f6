"""The configuration of a run: one YAML file, checked as a whole before anything else happens."""

from components.gate.settings import GateSettings
from pipeline.config.beam import BeamSettings, RunnerSettings
from pipeline.config.kubeflow import KubeflowSettings, StepSettings
from pipeline.config.loading import load_configuration, resolved_yaml
from pipeline.config.models import (
    Configuration,
    DataSettings,
    InfrastructureSettings,
)

__all__ = [
    "BeamSettings",
    "Configuration",
    "DataSettings",
    "GateSettings",
    "InfrastructureSettings",
    "KubeflowSettings",
    "RunnerSettings",
    "StepSettings",
    "load_configuration",
    "resolved_yaml",
]
