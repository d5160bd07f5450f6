"""`thaw config`."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import load_configuration, resolved_yaml
from pipeline.config.plans import preset_yaml
from pipeline.config.schema import json_schema
from trainer.errors import ConfigurationError


def config(config_path: Path | None, overrides: Sequence[str], schema: bool, preset: str | None) -> int:
    """Prints the resolved configuration, one to begin from, or the JSON Schema of configurations.

    Returns:
        The exit status.
    """
    if [schema, config_path is not None, preset is not None].count(True) != 1:
        raise ConfigurationError("give a configuration file to check and print, or --preset, or --schema, one of them")
    if schema and overrides:
        raise ConfigurationError("--set changes a configuration; it does not go with --schema")
    if preset is not None:
        print(preset_yaml(preset, overrides), end="")
    elif config_path is None:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    else:
        print(resolved_yaml(load_configuration(config_path, overrides)), end="")
    return 0
