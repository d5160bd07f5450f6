"""Runs every benchmark, one after the other; the options are passed on to each."""

import sys

from benchmarks import duplicates, frozen, fuzz, gate, gate_time, ingest, plans, steps, steps_per_second, training

BENCHMARKS = {
    "ingest": ingest.main,
    "duplicates": duplicates.main,
    "fuzz": fuzz.main,
    "training": training.main,
    "plans": plans.main,
    "frozen": frozen.main,
    "gate": gate.main,
    "gate_time": gate_time.main,
    "steps": steps.main,
    "steps_per_second": steps_per_second.main,
}


def main() -> None:
    """Prints the tables and writes the results of all benchmarks."""
    for run in BENCHMARKS.values():
        run(sys.argv[1:])


if __name__ == "__main__":
    main()
