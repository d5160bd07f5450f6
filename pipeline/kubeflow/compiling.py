"""From a configuration to a compiled pipeline, for the commands that take either."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import load_configuration
from trainer.errors import ConfigurationError

_COMPILER = "pipeline.kubeflow_runner"


def compile_to(config: Path, overrides: Sequence[str], path: Path) -> str | None:
    """Compiles a configuration.

    Args:
        config: its file.
        overrides: texts `a.b.1.c=value`.
        path: of the YAML to write.

    Returns:
        Where the configuration keeps artifacts; None for the cluster's own place.

    Raises:
        ConfigurationError: the configuration is wrong, or cannot be compiled.
    """
    configuration = load_configuration(config, overrides)
    if importlib.util.find_spec(_COMPILER) is None:
        raise ConfigurationError(f"{config} is a configuration; give a compiled pipeline")
    compiler = importlib.import_module(_COMPILER)
    path.write_text(compiler.compile_pipeline(configuration), encoding="utf-8")
    settings = getattr(configuration.infrastructure, "kubeflow", None)
    return getattr(settings, "pipeline_root", None)
