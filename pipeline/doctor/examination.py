"""Which checks there are, and in which order."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.config import Configuration
from pipeline.config.beam import BEAM_STEPS
from pipeline.doctor import beam, machine, packages, places, stack, weights
from pipeline.doctor.finding import Finding

Check = Callable[[], Finding]


def checks(configuration: Configuration | None, *, quick: bool) -> Iterator[tuple[str, Check]]:
    """Yields the checks one by one, for the caller to run and show.

    Args:
        configuration: looks at its files and folders as well.
        quick: leaves out the check that starts TensorFlow and TFX, which takes most of a minute.

    Yields:
        What is looked at, and the check.
    """
    yield "C library", machine.c_library
    yield "Python", machine.python
    yield "packages", packages.against_lock
    yield "memory", machine.memory
    if not quick:
        yield "TensorFlow and TFX (this takes up to a minute)", stack.starts
    yield "GPUs", machine.gpus
    root = configuration.infrastructure.root if configuration else Path.cwd()
    yield "disk", lambda: places.disk(root)
    if configuration is not None:
        yield from _of(configuration)


def _of(configuration: Configuration) -> Iterator[tuple[str, Check]]:
    infrastructure = configuration.infrastructure
    yield "photographs", lambda: places.photographs(configuration.data)
    yield "weights", lambda: weights.reachable(configuration.model)
    yield "pipeline root", lambda: places.writable("pipeline root", infrastructure.root)
    yield "push destination", lambda: places.writable("push destination", infrastructure.push_destination)
    if any(infrastructure.beam.of(step).is_remote for step in BEAM_STEPS):
        yield "Beam", lambda: beam.runners(infrastructure.beam)
