"""Plans by name in a configuration as it is read, before it is checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.messages import problems_in_words
from pipeline.config.models import FOLDER, Configuration
from pipeline.config.overrides import apply_overrides
from pipeline.config.yaml_text import dump
from trainer import presets
from trainer.errors import ConfigurationError
from trainer.scaling import SMALL_CNN

_KEY = "model.phases."


def apply_to_plan(raw: Any, overrides: Sequence[str]) -> tuple[Any, list[str]]:
    """`apply_overrides`, where an override of a key of a phase finds the phases even if the plan is given by its name.

    Args:
        raw: the configuration as read from the file.
        overrides: texts `a.b.1.c=value`.

    Returns:
        The changed configuration, and what was wrong with overrides that could not be applied.
    """
    problems: list[str] = []
    for override in overrides:
        if override.lstrip().startswith(_KEY):
            raw = with_phases(raw)
        raw, found = apply_overrides(raw, [override])
        problems += found
    return raw, problems


def with_phases(raw: Any) -> Any:
    """The configuration with the phases of its plan in place of the plan's name, if it has one that is known."""
    model = raw.get("model") if isinstance(raw, dict) else None
    if not isinstance(model, dict):
        return raw
    name, backbone = model.get("phases", presets.DEFAULT), model.get("backbone", SMALL_CNN)
    if not (isinstance(name, str) and name in presets.SUMMARIES and isinstance(backbone, str)):
        return raw
    return {**raw, "model": {**model, "phases": presets.phases_of(name, backbone)}}


def preset_yaml(name: str, overrides: Sequence[str] = ()) -> str:
    """A complete configuration with the plan of that name, as YAML to begin from.

    Args:
        name: of the plan.
        overrides: texts `a.b.1.c=value`.

    Raises:
        ConfigurationError: there is no such plan, or an override is wrong.
    """
    raw, problems = apply_to_plan(_starter(name), overrides)
    raw = with_phases(raw)
    try:
        Configuration.model_validate(raw, context={FOLDER: Path.cwd()})
    except ValidationError as error:
        problems += problems_in_words(error, raw, Configuration)
    if problems:
        raise ConfigurationError("\n  ".join([f"wrong with the preset {name!r}:", *problems]))
    return f"{_header(name)}{dump(raw)}"


def _starter(name: str) -> dict[str, Any]:
    return {
        "name": "my-photographs",
        "data": {"images": "photographs"},
        "model": {
            "backbone": "MobileNetV2",
            "weights": "none" if name == "from_scratch" else "imagenet",
            "image_size_px": 160,
            "phases": name,
        },
        "gate": {"floors": {"accuracy": 0.9}, **_comparison(name)},
        "infrastructure": {"root": "runs", "push_destination": "serving"},
    }


def _comparison(name: str) -> dict[str, Any]:
    """A linear probe is its own baseline, so it cannot be better; floors and the production model hold it."""
    return {"min_gain": None, "baseline_margins": {"accuracy": 0.01}} if name == "linear_probe" else {"min_gain": 0.0}


def _header(name: str) -> str:
    return (
        f"# {name}: {presets.SUMMARIES[name]}.\n"
        f"# `phases: {name}` stands for the phases below. Relative paths start from the folder of this file;\n"
        "# `thaw config FILE` prints it with every default, `thaw config --schema` describes every key.\n"
    )
