"""The installed packages against `uv.lock`."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.markers import Marker

from pipeline.doctor.finding import Finding, ok, problem, warning

LOCK = Path(__file__).parents[2] / "uv.lock"
_NUM_NAMED = 5


def against_lock(lock: Path = LOCK) -> Finding:
    """Whether every locked package that applies here is installed, in the locked version."""
    try:
        locked = locked_versions(tomllib.loads(lock.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return warning(
            "packages", f"no {lock.name} to compare with", "work in a checkout of thaw to have them compared"
        )
    wrong = [text for name, version in sorted(locked.items()) if (text := _difference(name, version))]
    if not wrong:
        return ok("packages", f"all {len(locked)} as in {lock.name}")
    more = f" and {len(wrong) - _NUM_NAMED} more" if len(wrong) > _NUM_NAMED else ""
    found = f"{len(wrong)} of {len(locked)} are not as in {lock.name}: {', '.join(wrong[:_NUM_NAMED])}{more}"
    return problem("packages", found, "`uv sync --locked` installs what the lock says")


def _difference(name: str, locked: str) -> str:
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return "" if installed == locked else f"{name} is {installed}, not {locked}"


def locked_versions(lock: Mapping[str, Any]) -> dict[str, str]:
    """The packages that a run needs on this platform and Python: without development tools.

    Args:
        lock: contents of `uv.lock`.

    Returns:
        Locked version by package name.
    """
    packages = lock["package"]
    waiting = list(_applicable(next(package for package in packages if _is_ours(package))["dependencies"]))
    versions: dict[str, str] = {}
    seen = set()
    while waiting:
        dependency = waiting.pop()
        package = _resolve(dependency, packages)
        extras = dependency.get("extra", ())
        key = (package["name"], tuple(extras))
        if key in seen:
            continue
        seen.add(key)
        versions[package["name"]] = package["version"]
        waiting.extend(_applicable(package.get("dependencies", ())))
        for extra in extras:
            waiting.extend(_applicable(package.get("optional-dependencies", {}).get(extra, ())))
    return versions


def _is_ours(package: Mapping[str, Any]) -> bool:
    return bool({"virtual", "editable"} & set(package["source"]))


def _applicable(dependencies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in dependencies if "marker" not in one or Marker(one["marker"]).evaluate()]


def _resolve(dependency: Mapping[str, Any], packages: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A dependency names the version where the lock has several of a package."""
    return next(
        package
        for package in packages
        if package["name"] == dependency["name"] and dependency.get("version", package["version"]) == package["version"]
    )
