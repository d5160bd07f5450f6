"""Whether the files that a configuration names are there: asked before a run, not when the file is loaded."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.config.models import Configuration, DataSettings
from trainer.errors import ConfigurationError


def check_places(configuration: Configuration) -> None:
    """Checks that what is to be read exists, and that what is to be written can be.

    Raises:
        ConfigurationError: something is missing or in the way; the message lists all of it with the remedies.
    """
    problems = [*image_problems(configuration.data), *_files(configuration), *_outputs(configuration)]
    if problems:
        raise ConfigurationError("\n".join(["the run cannot start:", *(f"  {problem}" for problem in problems)]))


def some_images(data: DataSettings, num_images: int) -> list[Path]:
    """A few of the photographs, without listing all of them; empty where there are none."""
    patterns = data.split_patterns
    pattern = patterns.train if patterns else data.pattern
    files = (path for path in data.images.glob(pattern) if path.is_file() and not path.name.startswith("."))
    return sorted(islice(files, num_images))


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def image_problems(data: DataSettings) -> Iterator[str]:
    """What is wrong with the folder of photographs: "what; remedy"."""
    if not data.images.is_dir():
        what = "is not a folder" if data.images.exists() else "does not exist"
        yield f"data.images: {str(data.images)!r} {what}; {_remedy(data)}"
    elif not some_images(data, 1):
        patterns = data.split_patterns
        where = f"data.split_patterns.train {patterns.train!r}" if patterns else f"data.pattern {data.pattern!r}"
        yield f"data.images: no file in {str(data.images)!r} matches {where}; {_remedy(data)}"


def _remedy(data: DataSettings) -> str:
    example = Path("examples", "digits")
    if data.images.parent.parts[-2:] == example.parts:
        return "`python -m examples.digits.make_images` writes the example's photographs"
    return "it must hold a folder of photographs for each class"


def _files(configuration: Configuration) -> Iterator[str]:
    schema = configuration.data.schema_path
    if schema is not None and not schema.is_file():
        yield f"data.schema: there is no file {str(schema)!r}; leave the key out to infer one"
    weights = configuration.model.weights_path
    if weights is not None and not weights.is_file():
        yield f"model.weights: there is no file {str(weights)!r}; it may be imagenet, none, or a path"


def _outputs(configuration: Configuration) -> Iterator[str]:
    infrastructure = configuration.infrastructure
    for key, path in (("root", infrastructure.root), ("push_destination", infrastructure.push_destination)):
        existing = nearest_existing(path)
        if not existing.is_dir():
            yield f"infrastructure.{key}: {str(path)!r} cannot be made; {str(existing)!r} is a file"
        elif not os.access(existing, os.W_OK | os.X_OK):
            yield f"infrastructure.{key}: {str(path)!r} cannot be written; {str(existing)!r} is read-only"
