"""Runs the search of near-duplicates in a Beam pipeline, and brings its results home."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import apache_beam as beam

from components.image_example_gen.duplicates.find_pairs import FindPairs
from components.image_example_gen.duplicates.pairs import Found, Pair, Unchecked
from components.image_example_gen.facts import Facts

_NUM_PER_ELEMENT = 512


def add_search(pipeline: beam.Pipeline, photographs: Sequence[Facts], folder: str) -> None:
    """Adds the search to a pipeline; `read_found` reads what it leaves in the folder."""
    signed = [(item.path, item.signature) for item in photographs if item.signature is not None]
    batches = [signed[start : start + _NUM_PER_ELEMENT] for start in range(0, len(signed), _NUM_PER_ELEMENT)]
    found = pipeline | "Signatures" >> beam.Create(batches) | "Each" >> beam.FlatMap(list) | FindPairs()
    for name in ("pairs", "unchecked", "num_plain"):
        (
            found[name]
            | f"Collect {name}" >> beam.combiners.ToList()
            | f"Write {name}" >> beam.Map(_write, str(_file(folder, name)))
        )


def read_found(folder: str) -> Found:
    """What the search has found."""
    pairs = tuple(sorted(Pair(**item) for item in _read(folder, "pairs")))
    unchecked = tuple(sorted(Unchecked(**item) for item in _read(folder, "unchecked")))
    return Found(pairs, unchecked, sum(_read(folder, "num_plain")))


def _file(folder: str, name: str) -> Path:
    return Path(folder) / f"{name}.json"


def _write(items: Iterable[object], path: str) -> None:
    plain = [asdict(item) if isinstance(item, Pair | Unchecked) else item for item in items]
    Path(path).write_text(json.dumps(plain), "utf-8", "surrogateescape")


def _read(folder: str, name: str) -> list[dict[str, object]]:
    return json.loads(_file(folder, name).read_text("utf-8", "surrogateescape"))
