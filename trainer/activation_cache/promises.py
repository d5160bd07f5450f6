"""Room in the cache that is promised to passes which have not written all of it yet, so that several keep to its bound.

A promise ends with the process that was given it, however that ends: it is a file that its holder has locked.
"""

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from trainer.activation_cache import locks


@contextmanager
def promise(folder: Path, planned: Mapping[str, int]) -> Iterator[None]:
    """Keeps room for entries; to be begun by one process at a time.

    Args:
        folder: of the promises, which is made.
        planned: the most bytes that each entry will take, by key.

    Raises:
        OSError: nothing can be written there.
    """
    path = folder / f"{uuid.uuid4().hex}.json"
    with locks.exclusive(path):
        try:
            path.write_text(json.dumps(dict(planned)), encoding="utf-8")
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def promised(folder: Path) -> dict[str, int]:
    """The most bytes that entries will take, by key, of all promises that are kept; removes those that nobody holds.

    To be asked by one process at a time.
    """
    found: dict[str, int] = {}
    for path in folder.glob("*.json"):
        for key, num_bytes in _planned(path).items():
            found[key] = max(num_bytes, found.get(key, 0))
    return found


def _planned(path: Path) -> dict[str, int]:
    """Without locks nobody can be seen to hold one."""
    with locks.exclusive_or_none(path) as is_held_by_nobody:
        if is_held_by_nobody:
            path.unlink(missing_ok=True)
            return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):  # it has just ended
        return {}
