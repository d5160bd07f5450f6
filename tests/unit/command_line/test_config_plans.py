"""Plans by name in a configuration, and configurations to begin from."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from pipeline.config import load_configuration, resolved_yaml
from pipeline.config.plans import preset_yaml
from trainer.errors import ConfigurationError
from trainer.presets import PresetName, phases_of

NAMES = get_args(PresetName)


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_is_printed_as_a_configuration_that_loads(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(preset_yaml(name), encoding="utf-8")
    configuration = load_configuration(path)
    assert yaml.safe_load(path.read_text())["model"]["phases"] == phases_of(name, "MobileNetV2")
    assert (configuration.model.weights == "none") == (name == "from_scratch")
    again = tmp_path / "again.yaml"
    again.write_text(resolved_yaml(configuration), encoding="utf-8")
    assert load_configuration(again) == configuration


def test_a_preset_asks_for_a_gain_where_there_can_be_one() -> None:
    gates = {name: yaml.safe_load(preset_yaml(name))["gate"] for name in NAMES}
    assert {name for name, gate in gates.items() if gate["min_gain"] is None} == {"linear_probe"}


def test_a_preset_is_printed_with_changes_to_its_phases(tmp_path: Path) -> None:
    text = preset_yaml("gradual", ["model.phases.1.epochs=9", "model.backbone=ConvNeXtTiny"])
    model = yaml.safe_load(text)["model"]
    assert model["phases"][1]["epochs"] == 9
    assert model["backbone"] == "ConvNeXtTiny"


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("gradul", [], "model.phases: 'gradul' is no preset; nearest: gradual; there are linear_probe"),
        ("full", ["model.seed=abc"], "model.seed: 'abc' must be a whole number"),
        ("full", ["model.phases.1.epochs=3"], "model.phases has no entry 1; it has one entry, 0"),
    ],
)
def test_a_preset_that_cannot_be_is_told(name: str, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        preset_yaml(name, overrides)


def test_a_plan_may_be_chosen_by_name_and_changed_on_the_command_line(config_path: Path) -> None:
    chosen = load_configuration(config_path, ["model.phases=gradual", "model.phases.4.epochs=2"]).model.phases
    assert [phase.name for phase in chosen] == ["head", "quarter", "half", "three_quarters", "whole"]
    assert chosen[4].epochs == 2


def test_a_plan_that_would_destroy_the_model_it_begins_with_is_refused(config_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"would destroy the weights of model\.warm_start"):
        load_configuration(config_path, ["model.phases=from_scratch", "model.warm_start=latest"])


def test_without_phases_the_plan_is_two_phase(config_path: Path, tmp_path: Path) -> None:
    raw = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    del raw["model"]["phases"]
    config_path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    expected = load_configuration(config_path, ["model.phases=two_phase"])
    assert load_configuration(config_path) == expected
    changed = load_configuration(config_path, ["model.phases.1.learning_rate=3e-5"])
    assert changed.model.phases[1].learning_rate == 3e-5


def test_a_run_without_baseline_is_told_since_the_gate_needs_one(config_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="baseline is none, but the gate compares the result with"):
        load_configuration(config_path, ["model.baseline=none"])


def test_a_probe_is_in_the_resolved_configuration(config_path: Path) -> None:
    configuration = load_configuration(config_path, ["model.phases=full"])
    assert yaml.safe_load(resolved_yaml(configuration))["model"]["probe"]["name"] == "probe"


def test_a_plan_that_never_unfreezes_is_warned_of(config_path: Path) -> None:
    (_, warning) = load_configuration(config_path, ["model.phases=linear_probe"]).model.warnings
    assert "no phase of model.phases unfreezes the backbone" in warning
