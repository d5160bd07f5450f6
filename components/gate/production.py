"""The production model: what a model server answers with now."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from trainer.export import is_complete
from trainer.files import sha256_of
from trainer.warm_start import FOLDER as WARM_START_FOLDER


@dataclass(frozen=True)
class ProductionModel:
    """A version in the push destination.

    Attributes:
        folder: of its SavedModel.
        sha256: see `fingerprint`.
    """

    folder: Path
    sha256: str


def find_production(push_destination: str, candidate: str) -> ProductionModel | None:
    """The newest complete version that is not the candidate itself.

    A candidate that has been pushed already is held against what it replaced, so that the same run comes to the same
    verdict.

    Args:
        push_destination: folder of numbered versions.
        candidate: folder of the candidate's SavedModel.
    """
    destination = Path(push_destination)
    numbered = [path for path in destination.iterdir() if path.name.isdecimal()] if destination.is_dir() else []
    own = fingerprint(candidate)
    for folder in sorted(numbered, key=lambda path: int(path.name), reverse=True):
        if is_complete(str(folder)) and (found := fingerprint(folder)) != own:
            return ProductionModel(folder, found)
    return None


def fingerprint(saved_model: str | Path) -> str:
    """Hex sha256 of a SavedModel's graph, weights and assets, whatever lies in `assets.extra` beside them."""
    folder = Path(saved_model)
    parts = [folder / "saved_model.pb", *folder.glob("variables/*"), *folder.glob("assets/*")]
    lines = sorted(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}" for path in parts if path.is_file())
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def size_mib(saved_model: str | Path) -> float:
    """Size of all files of a SavedModel but the weights for a warm start, which no server reads."""
    folder = Path(saved_model)
    beside = folder / WARM_START_FOLDER
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(beside))
    return sum(path.stat().st_size for path in files) / 2**20
