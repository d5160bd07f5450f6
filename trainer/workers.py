"""What the processes of one training tell each other: each holds all weights, and trains on its part of each batch.

All of them go through the same steps, so whatever one decides by what it alone knows must be asked of all. They can ask
each other only where all do; where one does not, the others wait.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.errors import ThawError
from trainer.replicas import Array

# What TensorFlow raises where another process is gone, or has been told so by a third one.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
# int64 numbers in a sha256.
_DIGEST_SIZE = 4


class Workers:
    """The processes that train together; one alone is asked without any cost.

    Attributes:
        num_workers: how many there are.
        number: of this one; that of the chief, which writes what comes out, is 0.
        num_local_replicas: on how many devices each of them trains.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Those of a strategy."""
        self._strategy = strategy
        self.num_workers, self.number = _number_of(strategy)
        self.num_local_replicas = int(strategy.num_replicas_in_sync) // self.num_workers

    @property
    def is_chief(self) -> bool:
        """Whether this one writes what comes out."""
        return self.number == 0

    @property
    def first_replica(self) -> int:
        """The number, among the replicas of all, of the first one of this process."""
        return self.number * self.num_local_replicas

    def gather(self, values: Array) -> Array:
        """What each of them has.

        Args:
            values: numbers; of the same shape and dtype on all.

        Returns:
            [workers, …], the same on all, to the bit.
        """
        if self.num_workers == 1:
            return values[None]
        exact = values.astype(np.int64 if values.dtype.kind in "biu" else np.float64)
        rows = np.zeros((self.num_workers, *values.shape), exact.dtype)
        rows[self.number] = exact  # the sum of zeros and one number is that number
        return np.asarray(_sum_over_workers(self._strategy)(tf.constant(rows))).astype(values.dtype)

    def gather_digests(self, digests: list[bytes]) -> Array:
        """Digests of 32 bytes that each of them has: int64 [workers, digests, 4]."""
        return self.gather(np.frombuffer(b"".join(digests), np.int64).reshape(len(digests), _DIGEST_SIZE))

    def any(self, is_so: bool) -> bool:
        """Whether it is so with one of them."""
        return is_so if self.num_workers == 1 else bool(self.gather(np.array(is_so, np.int64)).any())

    def meet(self) -> None:
        """Returns when all have come here."""
        self.any(False)

    def must_agree(self, *what: tuple[str, str]) -> None:
        """Compares what must be the same on all.

        Args:
            what: pairs of what it is, in words, and a text.

        Raises:
            ThawError: on all of them, where one has another text than the chief.
        """
        digests = self.gather_digests([hashlib.sha256(text.encode()).digest() for _, text in what])
        for index, (words, _) in enumerate(what):
            others = [number for number in range(self.num_workers) if (digests[number] != digests[0])[index].any()]
            if others:
                raise ThawError(
                    f"worker {others[0]} has other {words} than the chief; give all machines the same configuration, "
                    "files and versions, and start them again"
                )

    def distribute(self, batches: tf.data.Dataset) -> Any:
        """Gives each replica its rows of each batch.

        TensorFlow does so for one process. For several, and without its own sharding, it would give all of them the
        same rows; and its sharding goes by files or by elements, not by the rows of a batch.

        Args:
            batches: global ones, the same in all processes; their size is a multiple of the number of replicas.
        """
        if self.num_workers == 1:
            return self._strategy.experimental_distribute_dataset(batches)
        # Otherwise they ask each other at each batch whether all have one; all have equally many, full ones.
        self._strategy.extended.experimental_enable_get_next_as_optional = False
        return self._strategy.distribute_datasets_from_function(lambda _: batches.map(self._own_part).unbatch())

    def _own_part(self, *batch: Any) -> Any:
        """[global batch, …] to [replicas of this process, batch of a replica, …]."""
        own = slice(self.first_replica, self.first_replica + self.num_local_replicas)
        num_replicas = self.num_workers * self.num_local_replicas
        return tf.nest.map_structure(
            lambda values: tf.reshape(values, [num_replicas, -1, *values.shape[1:]])[own],
            batch if len(batch) > 1 else batch[0],
        )

    @contextmanager
    def explaining_loss(self) -> Iterator[None]:
        """Says what to do where another of them is gone.

        Raises:
            ThawError: in the place of TensorFlow's own error.
        """
        try:
            yield
        except _LOST as error:
            if self.num_workers == 1:
                raise
            raise ThawError(
                f"worker {self.number} of {self.num_workers} has lost another one, so the training cannot go on "
                f"({_first_line(error.message)}); look at the log of the one that ended first, and start all of them "
                "again: the training goes on at its last checkpoint"
            ) from error


def _number_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """How many workers a strategy has, and which of them this process is."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1, 0
    resolver = strategy.cluster_resolver
    addresses: Mapping[str, list[str]] = resolver.cluster_spec().as_dict()
    num_chiefs = len(addresses.get("chief", ()))
    number = int(resolver.task_id or 0) + (num_chiefs if resolver.task_type == "worker" else 0)
    return max(1, sum(len(of_role) for of_role in addresses.values())), number


@functools.cache
def _sum_over_workers(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """Traced once for each shape; a process has one such strategy in its life."""
    summing: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        lambda values: strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None), autograph=False
    )
    return summing


def _first_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if "Collective ops is aborted" in line]
    return lines[0] if lines else message.strip().split("\n")[0]
