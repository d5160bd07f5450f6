"""`thaw config`."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import load_configuration, resolved_yaml
from pipeline.config.schema import json_schema
from trainer.errors import ConfigurationError


def config(config_path: Path | None, overrides: Sequence[str], schema: bool) -> int:
    """Prints the resolved configuration, or the JSON Schema of configurations.

    Returns:
        The exit status.
    """
    if schema == (config_path is not None):
        raise ConfigurationError("give a configuration file to check and print, or --schema, one of them")
    if schema and overrides:
        raise ConfigurationError("--set changes a configuration; it does not go with --schema")
    if config_path is None:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    else:
        print(resolved_yaml(load_configuration(config_path, overrides)), end="")
    return 0
