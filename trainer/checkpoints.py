"""Checkpoints on disk: written whole or not at all, verified when they are read."""

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.checkpoint_store import DIGESTS, CheckpointStore
from trainer.errors import ThawError
from trainer.files import flush, sha256_of
from trainer.replicas import Array

_PREFIX = "checkpoint-"
_BEING_WRITTEN = ".being-written-"
_STATE, _ARRAYS, _DIGESTS = "state.json", "arrays.npz", DIGESTS
_NUM_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What was saved.

    Attributes:
        state: plain JSON values.
        arrays: by name.
        number: among those of its folder; 0 for one that has not been read from there.
    """

    state: Mapping[str, Any]
    arrays: Mapping[str, Array]
    number: int = 0


class CheckpointFolder:
    """The checkpoints of one training; the last two are kept, so that one may be damaged.

    It is written to a local or mounted file system, by one process at a time; where that is lost with the machine, a
    store keeps copies.
    """

    def __init__(self, folder: Path, training: str, store: CheckpointStore | None = None) -> None:
        """Makes the folder, and takes away what a killed process left half written.

        Args:
            folder: where they lie.
            training: digest of everything that decides the result; checkpoints with another one are left alone.
            store: gets a copy of each checkpoint; what it has is fetched first.

        Raises:
            ThawError: the store cannot be reached.
        """
        self.folder = folder
        self._training = training
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{_BEING_WRITTEN}*"):
            shutil.rmtree(leftover)
        self._store = store
        if store is not None:
            store.fetch(folder)
        self._own: list[Path] = []

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint beside the last one, and then removes the one before that.

        Everything is on the disk before the folder gets its name: who finds it, finds it complete.
        """
        path = _path(self.folder, self._next_number())
        temporary = self.folder / f"{_BEING_WRITTEN}{path.name}"
        temporary.mkdir()
        state = {"training": self._training, "state": checkpoint.state}
        (temporary / _STATE).write_text(json.dumps(state), encoding="utf-8")
        with (temporary / _ARRAYS).open("wb") as file:
            np.savez(file, **checkpoint.arrays)  # type: ignore[arg-type]
        digests = {name: sha256_of(temporary / name) for name in (_STATE, _ARRAYS)}
        (temporary / _DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        for name in (_STATE, _ARRAYS, _DIGESTS, "."):
            flush(temporary / name)
        temporary.rename(path)
        flush(self.folder)
        self._own.append(path)
        if self._store is not None:
            self._store.put(path)
        while len(self._own) > _NUM_KEPT:
            self._remove(self._own.pop(0))

    def _remove(self, path: Path) -> None:
        shutil.rmtree(path)
        if self._store is not None:
            self._store.remove(path.name)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint of this training that is whole; None where there is none.

        Warns of each that is not, and of each that belongs to another training.
        """
        found = None
        damaged = []
        for path in sorted(self._all(), reverse=True):
            try:
                state = _verified_state(path)
            except (OSError, ValueError, KeyError) as error:
                warnings.warn(
                    f"checkpoint {path} is damaged and not used ({error}); the one before it is tried", stacklevel=2
                )
                damaged.append(path)
                continue
            if state["training"] != self._training:
                warnings.warn(
                    f"checkpoint {path} is of other settings, data or versions and not used; delete it if it is not "
                    "needed",
                    stacklevel=2,
                )
                continue
            self._own.insert(0, path)
            found = found or Checkpoint(state["state"], _arrays(path), _number_of(path))
        self._own = damaged + self._own  # the first to be removed
        return found

    def _all(self) -> list[Path]:
        return [path for path in self.folder.glob(f"{_PREFIX}*") if path.is_dir()]

    def _next_number(self) -> int:
        return 1 + max((_number_of(path) for path in self._all()), default=0)


def read(folder: Path, number: int) -> Checkpoint:
    """One checkpoint that another process has chosen and holds to be whole.

    Raises:
        ThawError: it is not there, or damaged.
    """
    path = _path(folder, number)
    try:
        return Checkpoint(_verified_state(path)["state"], _arrays(path), number)
    except (OSError, ValueError, KeyError) as error:
        raise ThawError(
            f"the chief goes on from checkpoint {path}, which cannot be read here ({error}); the folder must be on a "
            "file system that all machines share, at the same place"
        ) from error


def _path(folder: Path, number: int) -> Path:
    return folder / f"{_PREFIX}{number:06d}"


def _number_of(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))


def _verified_state(path: Path) -> dict[str, Any]:
    """The state, after all files have been found to have their digests.

    Raises:
        OSError, ValueError, KeyError: a file is missing, is not JSON, lacks something, or has another digest.
    """
    digests = json.loads((path / _DIGESTS).read_text(encoding="utf-8"))
    for name in (_STATE, _ARRAYS):
        if sha256_of(path / name) != digests[name]:
            raise ValueError(f"{name} has not the digest it was written with")
    state: dict[str, Any] = json.loads((path / _STATE).read_text(encoding="utf-8"))
    return state


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path / _ARRAYS, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
