"""`thaw manifest`."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from components.pusher.buckets import Bucket, is_in_bucket, reading
from components.pusher.manifest import FILE, Provenance, manifest, provenance_in
from pipeline.config import load_configuration
from trainer.errors import ConfigurationError, ThawError

NEWEST = "newest"
_GRAPH = "saved_model.pb"


def manifest_(config_path: Path, version: str, overrides: Sequence[str]) -> int:
    """Prints the InferenceService that serves a pushed version, as the configuration says now.

    Returns:
        The exit status.
    """
    configuration = load_configuration(config_path, overrides)
    server = configuration.model_server
    if server is None:
        raise ConfigurationError(
            "infrastructure.serving is missing: it says how KServe serves what is pushed, as in\n"
            "  infrastructure: {serving: {service_account: thaw-serving}}"
        )
    if version != NEWEST and not version.isdecimal():
        raise ConfigurationError(f"--version is {version!r}; it must be a version's number, or {NEWEST}")
    destination = str(configuration.infrastructure.push_destination)
    versions = _versions(destination)
    if versions is None and version == NEWEST:
        raise ConfigurationError(
            f"{destination!r} is not to be seen from here, so the newest version is not known; say which with "
            "--version; the log of the step Pusher has it after THAW_PUSHED"
        )
    number = _chosen(version, versions, destination)
    provenance = Provenance() if versions is None else _provenance(destination, number)
    if versions is None:
        print(f"! {destination!r} is not to be seen from here: nobody has looked for version {number}", file=sys.stderr)
    print(manifest(server, destination, str(number), provenance), end="")
    return 0


def _chosen(version: str, versions: Sequence[int] | None, destination: str) -> int:
    if versions is None:
        return int(version)
    if not versions:
        raise ThawError(f"nothing has been pushed to {destination!r} yet")
    number = max(versions) if version == NEWEST else int(version)
    if number not in versions:
        there = ", ".join(map(str, sorted(versions)))
        raise ConfigurationError(f"there is no version {number} in {destination!r}; there are: {there}")
    return number


def _versions(destination: str) -> list[int] | None:
    """Numbers of all whole versions; None where the destination cannot be looked at from here.

    Raises:
        ThawError: the bucket cannot be read.
    """
    if is_in_bucket(destination):
        with _reading(destination):
            bucket = Bucket(destination)
            return [number for number in bucket.numbers() if bucket.is_whole(number)]
    folder = Path(destination)
    if not folder.is_dir():
        return None
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal() and (path / _GRAPH).is_file()]


def _provenance(destination: str, number: int) -> Provenance:
    """What the version's own manifest says; nothing where it was pushed without one."""
    if is_in_bucket(destination):
        with _reading(destination):
            return provenance_in(Bucket(destination).text(number, FILE))
    path = Path(destination, str(number), FILE)
    return provenance_in(path.read_text("utf-8") if path.is_file() else "")


def _reading(url: str) -> AbstractContextManager[None]:
    return reading(repr(url), "check the bucket and the credentials in the environment")
