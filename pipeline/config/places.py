"""Whether the files that a configuration names are there: asked before a run, not when the file is loaded."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.image_example_gen.sources.looking import problem_at_a_glance, some_local_files
from pipeline.config.models import Configuration, DataSettings
from trainer.errors import ConfigurationError


def check_places(configuration: Configuration) -> None:
    """Checks that what is to be read exists, and that what is to be written can be.

    Raises:
        ConfigurationError: something is missing or in the way; the message lists all of it with the remedies.
    """
    _raise_if_any([*image_problems(configuration.data), *_files(configuration), *_outputs(configuration)])


def check_data_places(configuration: Configuration) -> None:
    """Checks what is needed to take the photographs in: them, and a root to write to.

    Raises:
        ConfigurationError: something is missing or in the way; the message lists all of it with the remedies.
    """
    root = configuration.infrastructure.root
    _raise_if_any([*image_problems(configuration.data), *_output("root", root)])


def _raise_if_any(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigurationError("\n".join(["the run cannot start:", *(f"  {problem}" for problem in problems)]))


def some_images(data: DataSettings, num_images: int) -> list[Path]:
    """A few of the photographs, without listing all of them; empty where none lie in a folder of this machine."""
    return [Path(path) for path in some_local_files(data, num_images)]


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def image_problems(data: DataSettings) -> Iterator[str]:
    """What is plainly wrong with the photographs: "what; remedy". It does not list all of them."""
    problem = problem_at_a_glance(data)
    if problem:
        yield f"data.images: {problem}" + ("" if "; " in problem else f"; {_remedy(data)}")


def _remedy(data: DataSettings) -> str:
    example = Path("examples", "digits")
    if Path(data.images).parent.parts[-2:] == example.parts:
        return "`python -m examples.digits.make_images` writes the example's photographs"
    return "it must hold a folder of photographs for each class"


def _files(configuration: Configuration) -> Iterator[str]:
    schema = configuration.data.schema_path
    if schema is not None and not schema.is_file():
        yield f"data.schema: there is no file {str(schema)!r}; leave the key out to infer one"
    weights = configuration.model.weights_path
    if weights is not None and not weights.is_file():
        yield f"model.weights: there is no file {str(weights)!r}; it may be imagenet, none, or a path"
    warm_start = configuration.model.warm_start_path
    if warm_start is not None and not warm_start.is_dir():
        yield f"model.warm_start: there is no folder {str(warm_start)!r}; it may be none, latest, or an exported model"


def _outputs(configuration: Configuration) -> Iterator[str]:
    infrastructure = configuration.infrastructure
    yield from _output("root", infrastructure.root)
    yield from _output("push_destination", infrastructure.push_destination)


def _output(key: str, path: Path) -> Iterator[str]:
    existing = nearest_existing(path)
    if not existing.is_dir():
        yield f"infrastructure.{key}: {str(path)!r} cannot be made; {str(existing)!r} is a file"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"infrastructure.{key}: {str(path)!r} cannot be written; {str(existing)!r} is read-only"
