"""Whose runs are meant: a configuration's, those of a root, or those of every root below this folder."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import load_configuration
from pipeline.root_lock import LOCK_FILE
from trainer.errors import ConfigurationError

_MAX_DEPTH = 6
_MAX_FOLDERS = 2_000


def roots_of(config: Path | None, root: Path | None) -> tuple[Path, ...]:
    """The pipeline roots that a command is about; at least one.

    Raises:
        ConfigurationError: both or neither are given and nothing is found, or the configuration is wrong.
    """
    if config is not None and root is not None:
        raise ConfigurationError("give a configuration or --root, not both")
    if config is not None:
        return (load_configuration(config).infrastructure.root,)
    if root is not None:
        if not root.is_dir():
            raise ConfigurationError(f"there is no folder {root}; --root is `infrastructure.root` of a configuration")
        return (root,)
    found = tuple(_roots_below(Path.cwd()))
    if not found:
        raise ConfigurationError(
            f"no runs below {Path.cwd()}; name a configuration, or a pipeline root with --root DIR"
        )
    return found


def _roots_below(top: Path) -> Iterator[Path]:
    """Breadth first, so that the nearest come first; not in hidden folders, nor within a root."""
    waiting = deque([(top, 0)])
    num_visited = 0
    while waiting and num_visited < _MAX_FOLDERS:
        folder, depth = waiting.popleft()
        num_visited += 1
        if (folder / LOCK_FILE).is_file() and (folder / "runs").is_dir():
            yield folder
        elif depth < _MAX_DEPTH:
            waiting.extend((child, depth + 1) for child in _folders_in(folder))


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:
        return []  # What may not be read holds no runs of ours.
