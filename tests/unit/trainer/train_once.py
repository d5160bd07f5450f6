"""Trains in a process that may be killed: python train_once.py JOB [step N | flush N | shard N | terminate N].

`step N` dies by SIGKILL after N steps, `flush N` when N files of a checkpoint have been flushed to the disk, `shard N`
when N shards of 16 rows have been written to the cache, and `terminate N` sends itself SIGTERM after N steps.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from tiny import IMAGE_SIZE_PX, weights_of

from trainer import checkpoints, devices
from trainer.activation_cache import entries, shards
from trainer.activation_cache.store import store_at
from trainer.datasets import open_split
from trainer.settings import ModelSettings
from trainer.training import TrainingData, _Training, fine_tune


class Killer:
    """Counts calls, and sends this process a signal at the given one."""

    def __init__(self, number: int, wanted: signal.Signals) -> None:
        self._number, self._signal = number, wanted
        self.sent_at_s = 0.0

    def count(self) -> None:
        self._number -= 1
        if not self._number:
            self.sent_at_s = time.monotonic()
            os.kill(os.getpid(), self._signal)


def plant(kind: str, killer: Killer) -> None:
    places: dict[str, tuple[Any, str]] = {"flush": (checkpoints, "flush"), "shard": (shards, "write")}
    owner, name = places.get(kind, (_Training, "_save_if_due"))
    original = getattr(owner, name)

    def count(*arguments: Any) -> None:
        original(*arguments)
        killer.count()

    setattr(owner, name, count)


def main(job: dict[str, Any], kind: str = "", number: str = "0") -> None:
    devices.prepare(2)
    entries._MAX_ROWS_PER_SHARD = 16
    killer = Killer(int(number), signal.SIGTERM if kind == "terminate" else signal.SIGKILL)
    if kind:
        plant(kind, killer)
    data = TrainingData(open_split(job["train"], IMAGE_SIZE_PX), open_split(job["eval"], IMAGE_SIZE_PX), num_classes=3)
    try:
        model, _ = fine_tune(
            ModelSettings.model_validate_json(json.dumps(job["settings"])),
            data,
            devices.make_strategy(1),
            on_baseline=lambda _: None,
            checkpoint_dir=Path(job["checkpoints"]),
            cache=store_at(job.get("cache"), max_gib=1),
        )
    finally:
        print(f"seconds: {time.monotonic() - killer.sent_at_s}", file=sys.stderr)
    np.savez(job["result"], **weights_of(model))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), *sys.argv[2:])
