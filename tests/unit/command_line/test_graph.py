"""What of a configuration reaches which component."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config import load_configuration

pytestmark = pytest.mark.slow


def properties(config_path: Path, *overrides: str) -> dict[str, dict[str, Any]]:
    """Execution properties by component."""
    from pipeline.graph import build_components

    components = build_components(load_configuration(config_path, overrides))
    return {component.id: dict(component.exec_properties) for component in components}


def test_preprocessing_settings_reach_transform_and_redo_no_ingestion(config_path: Path) -> None:
    from tfx.utils import json_utils

    plain, scaled = properties(config_path), properties(config_path, "data.scaled_decoding=true")
    settings = json_utils.loads(scaled["Transform"]["custom_config"])
    assert settings["scaled_decoding"] is True
    assert settings["image_size_px"] == 32
    assert json_utils.loads(plain["Transform"]["custom_config"]) == {**settings, "scaled_decoding": False}
    assert {name for name in plain if plain[name] != scaled[name]} == {"Transform"}
