"""The checkpoints of a training by one process or by several: the chief writes them, and all read the same one."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trainer import checkpoints
from trainer.checkpoint_store import CheckpointStore
from trainer.checkpoints import Checkpoint, CheckpointFolder
from trainer.replicas import Array
from trainer.workers import Workers


class SharedCheckpoints:
    """As `CheckpointFolder`; with several workers all must call each method, and the folder be one that all can read.

    Attributes:
        folder: where they lie.
    """

    def __init__(self, folder: Path, training: str, workers: Workers, store: CheckpointStore | None = None) -> None:
        """See `trainer.checkpoints.CheckpointFolder`."""
        self.folder, self._workers = folder, workers
        self._own = CheckpointFolder(folder, training, store) if workers.is_chief else None

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes the chief's state, and of the others what they have otherwise; returns on all when it is written."""
        arrays = with_those_of_others(checkpoint.arrays, self._workers)
        if self._own is not None:
            self._own.save(Checkpoint(checkpoint.state, arrays))
        self._workers.meet()

    def latest(self) -> Checkpoint | None:
        """The newest that the chief finds whole.

        Raises:
            ThawError: another worker cannot read it.
        """
        found = self._own.latest() if self._own is not None else None
        numbers = self._workers.gather(np.array(found.number if found is not None else 0, np.int64))
        if not numbers[0]:
            return None
        read = found or checkpoints.read(self.folder, int(numbers[0]))
        return Checkpoint(read.state, own_of(read.arrays, self._workers), read.number)


def with_those_of_others(arrays: Mapping[str, Array], workers: Workers) -> dict[str, Array]:
    """The chief's arrays, and those of the others that are not equal to them.

    Weights and moments are the same on all replicas. What is not, random states and totals, is found by comparing, so
    that nothing is lost that somebody thinks to be equal.

    Args:
        arrays: of this process's replicas; a name ends with "/" and the replica's number within the process.
        workers: that all have arrays of the same names and shapes.

    Returns:
        The same arrays, and beside them those of other workers' replicas, whose numbers are those among all.
    """
    if workers.num_workers == 1:
        return dict(arrays)
    names = sorted(filter(_is_of_a_replica, arrays))
    digests = workers.gather_digests(
        [hashlib.sha256(np.ascontiguousarray(arrays[n]).tobytes()).digest() for n in names]
    )
    found = dict(arrays)
    for index, name in enumerate(names):
        if (digests[:, index] != digests[0, index]).any():
            for number, values in enumerate(workers.gather(arrays[name])):
                found[_among_all(name, number * workers.num_local_replicas)] = values
    return found


def own_of(arrays: Mapping[str, Array], workers: Workers) -> dict[str, Array]:
    """Takes out of what `with_those_of_others` gave what the replicas of this process had, under their own names."""
    if workers.num_workers == 1:
        return dict(arrays)
    own = [name for name in arrays if _replica(name) < workers.num_local_replicas]
    return {name: arrays.get(_among_all(name, workers.first_replica), arrays[name]) for name in own}


def _is_of_a_replica(name: str) -> bool:
    """As `trainer.replicas.name_components` names them; what is not is the same for all."""
    return all(part.isdecimal() for part in name.split("/")[-2:])


def _replica(name: str) -> int:
    return int(name.rpartition("/")[2]) if _is_of_a_replica(name) else 0


def _among_all(name: str, first_replica: int) -> str:
    if not _is_of_a_replica(name):
        return name
    before, _, replica = name.rpartition("/")
    return f"{before}/{first_replica + int(replica)}"
