"""A digest of our own code, so that TFX's cache notices when it changes.

TFX keys its cache on inputs and execution properties. It does not see the code behind a dotted path, so without this a
changed function would silently reuse the old outputs. The digest covers a module and everything of ours that it
imports, directly or not: a change in the exporter redoes FineTuner but not ImageExampleGen.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

FIRST_PARTY_PACKAGES = ("trainer", "components")


def code_digest(*modules: str) -> str:
    """Digests the source of `modules` and of every module of ours that they import.

    Args:
        modules: dotted names, such as "components.fine_tuner.executor".

    Returns:
        Hex sha256, a function of the sources' bytes and the modules' names alone.

    Raises:
        ModuleNotFoundError: a name is no module.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_closure(modules).items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _closure(modules: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _source(name)
        waiting.extend(_imports(found[name], name))
    return found


def _source(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module {name!r} to digest")
    return Path(spec.origin)


def _imports(path: Path, module: str) -> Iterator[str]:
    """Yields our modules that the source imports, at its top or inside functions, and their parent packages."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from trainer import images` names a module; `from trainer.images import decode` an attribute of one.
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for candidate in candidates:
            yield from (name for name in _with_parents(candidate) if _is_module(name))
    yield from _with_parents(module)


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: index + 1]) for index in range(len(parts))]


def _is_module(name: str) -> bool:
    if name.split(".")[0] not in FIRST_PARTY_PACKAGES:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # the parent is a module, not a package: `name` is one of its attributes
        return False
    return spec is not None and spec.origin is not None
