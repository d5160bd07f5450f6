"""A worker that may be killed: python worker_once.py JOB_FILE [kill N | terminate N].

After N steps it sends itself SIGKILL or SIGTERM.
"""

import os
import signal
import sys
import time
from typing import Any

from trainer import worker
from trainer.training import _Training


def plant(wanted: signal.Signals, num_steps: int) -> None:
    original = _Training._save_if_due
    num_done = 0

    def count(*arguments: Any) -> None:
        nonlocal num_done
        original(*arguments)
        num_done += 1
        if num_done == num_steps:
            print(f"signal at {time.time()}", flush=True)
            os.kill(os.getpid(), wanted)

    _Training._save_if_due = count  # type: ignore[method-assign]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        plant(signal.SIGKILL if sys.argv[2] == "kill" else signal.SIGTERM, int(sys.argv[3]))
    sys.exit(worker.main(sys.argv[1:2]))
