"""From a file and a few overrides to a checked `Configuration`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.messages import problems_in_words
from pipeline.config.models import FOLDER, Configuration
from pipeline.config.plans import apply_to_plan
from pipeline.config.yaml_text import dump, parse
from trainer.errors import ConfigurationError

_MAX_FILE_BYTES = 1_000_000


def load_configuration(path: Path, overrides: Sequence[str] = ()) -> Configuration:
    """Reads and checks a configuration file.

    Args:
        path: the YAML file. Relative paths in it start at the folder it lies in.
        overrides: texts `a.b.1.c=value`, set in this order before anything is checked.

    Raises:
        ConfigurationError: the file or an override is wrong; the message lists every problem that was found.
    """
    raw, problems = apply_to_plan(_read(path), overrides)
    folder = path.absolute().parent
    try:
        configuration = Configuration.model_validate(raw, context={FOLDER: folder})
    except ValidationError as error:
        problems += problems_in_words(error, raw, Configuration)
        raise ConfigurationError(_told(path, problems)) from None
    if problems:
        raise ConfigurationError(_told(path, problems))
    return configuration


def resolved_yaml(configuration: Configuration) -> str:
    """The configuration as YAML, with every default; `load_configuration` reads it back."""
    data = configuration.model_dump(mode="json", by_alias=True)
    for key in configuration.data.keys_without_effect():
        del data["data"][key]
    data["infrastructure"]["beam"] = configuration.infrastructure.beam.resolved()
    model = data["model"]
    for phase in (*model["phases"], *([model["probe"]] if model["probe"] else ())):
        for key in [key for key in ("epochs", "steps") if phase[key] is None]:
            del phase[key]
        if isinstance(phase["unfreeze"], dict):
            phase["unfreeze"] = {key: value for key, value in phase["unfreeze"].items() if value is not None}
    return dump(data)


def _told(path: Path, problems: Sequence[str]) -> str:
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join(
        [
            f"{count} in the configuration {path}:",
            *(f"  {problem}" for problem in problems),
        ]
    )


def _read(path: Path) -> Any:
    try:
        raw = parse(_text(path))
    except ValueError as error:
        raise ConfigurationError(f"cannot read {path} as YAML: {error}") from None
    if raw is None:
        raise ConfigurationError(f"{path} is empty; `thaw config --schema` prints what it may hold")
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path} must hold a mapping of keys to values; it holds a {type(raw).__name__}")
    return raw


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {path}{_nearby(path)}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MAX_FILE_BYTES} bytes; is it a configuration file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text (byte {error.start})") from None


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    names = sorted(file.name for pattern in ("*.yaml", "*.yml") for file in path.parent.glob(pattern))
    return f"; the folder holds {', '.join(names[:5])}" if names else ""
