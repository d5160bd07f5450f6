"""Checks that what had to stay frozen did.

Digests of variables are compared before and after a phase, on every replica, and between the model and what was
exported.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from trainer.classifier import Classifier
from trainer.errors import FreezeContractError
from trainer.replicas import components
from trainer.workers import Workers

# Variable path and replica number to the sha256 of the variable's bytes.
Digests = Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class ContractReport:
    """What a phase did to the variables.

    Attributes:
        phase: its name.
        num_moved_statistics: how many statistics of BatchNormalization were free to move without being trained.
        num_frozen_variables: how many were checked and found unchanged, on each replica.
        num_replicas: how many copies of each were compared, over all workers.
        changed: paths of the variables that the phase changed.
        frozen_sha256: one digest over all frozen variables of a replica, the same before and after.
    """

    phase: str
    num_moved_statistics: int
    num_frozen_variables: int
    num_replicas: int
    changed: tuple[str, ...]
    frozen_sha256: str


def digest_variables(model: Classifier) -> Digests:
    """Digests every variable of the backbone and the head, statistics of BatchNormalization included."""
    return {
        (variable.path, replica): _digest(np.asarray(component))
        for variable in model.weights
        for replica, component in enumerate(components(variable))
    }


def check(model: Classifier, phase: str, before: Digests, workers: Workers | None = None) -> ContractReport:
    """Compares the variables with their digests from before the phase.

    Args:
        model: after the phase, with `trainable` and `modes` still as they were in the phase: trained variables may have
            changed, and those statistics of BatchNormalization that the policy lets move. With "recalibrate" these
            are fixed until `trainer.batch_norm.recalibrate` has been called.
        phase: name for the report.
        before: from `digest_variables`.
        workers: that train together, and all call this; None for this process alone.

    Raises:
        FreezeContractError: a frozen variable changed on some replica, or the replicas of one differ.
    """
    after = digest_variables(model)
    free = {variable.path for variable in model.trainable_variables} | model.modes.moving_statistics
    frozen = _paths(after) - free
    apart = sorted({path for (path, _), value in after.items() if after[path, 0] != value})
    drifted = sorted(
        {path for (path, replica), value in after.items() if path in frozen and before[path, replica] != value}
    )
    # Before anything is raised: the others would wait for an answer.
    elsewhere = "" if workers is None else _elsewhere(after, bool(drifted or apart), workers)
    if drifted:
        raise FreezeContractError(
            f"phase {phase!r} changed {len(drifted)} variables that had to stay frozen: {_some(drifted)}; the result "
            "is not what was asked for and is not kept"
        )
    if apart:
        raise FreezeContractError(
            f"after phase {phase!r} the replicas differ in {len(apart)} variables: {_some(apart)}"
        )
    if elsewhere:
        raise FreezeContractError(f"after phase {phase!r} {elsewhere}")
    return ContractReport(
        phase=phase,
        num_moved_statistics=len(model.modes.moving_statistics),
        num_frozen_variables=len(frozen),
        num_replicas=(1 + max(replica for _, replica in after)) * (1 if workers is None else workers.num_workers),
        changed=tuple(
            sorted(path for (path, replica), value in after.items() if not replica and before[path, 0] != value)
        ),
        frozen_sha256=_digest_of({key: value for key, value in after.items() if key[0] in frozen and not key[1]}),
    )


def check_export(model: Classifier, folder: str | Path) -> None:
    """Compares the variables of a SavedModel with those of the model that it was exported from, bit by bit.

    Args:
        model: with the weights that were exported.
        folder: of the SavedModel.

    Raises:
        FreezeContractError: a variable of the model is missing in the SavedModel, there twice, or has another value.
    """
    expected = {path: digest for (path, replica), digest in digest_variables(model).items() if replica == 0}
    exported = _exported_digests(Path(folder), set(expected))
    wrong = sorted(path for path, digest in expected.items() if exported.get(path) != [digest])
    if wrong:
        raise FreezeContractError(
            f"the model exported to {str(folder)!r} differs from the trained one in {len(wrong)} of {len(expected)} "
            f"variables: {_some([f'{path} ({_what(exported.get(path, []))})' for path in wrong])}; it is not kept"
        )


def _exported_digests(folder: Path, paths: set[str]) -> dict[str, list[str]]:
    """Of the variables with these paths: a checkpoint's keys say where an object hangs, its graph says its name."""
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    found: dict[str, list[str]] = {}
    for attribute in (attribute for node in graph.nodes for attribute in node.attributes):
        if attribute.full_name in paths:
            found.setdefault(attribute.full_name, []).append(_digest(reader.get_tensor(attribute.checkpoint_key)))
    return found


def _what(digests: list[str]) -> str:
    return {0: "missing", 1: "another value"}.get(len(digests), f"there {len(digests)} times")


def _digest(value: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()


def _elsewhere(after: Digests, is_broken_here: bool, workers: Workers) -> str:
    """What is wrong with another worker, in words, or ""."""
    of_first_replica = _digest_of({key: value for key, value in after.items() if not key[1]})
    digests = workers.gather_digests([bytes.fromhex(of_first_replica)])[:, 0]
    broken = workers.gather(np.array(is_broken_here, np.int64))
    if broken.any():
        return f"the freeze contract is broken on worker {int(broken.argmax())}, whose log says where"
    others = [number for number in range(workers.num_workers) if (digests[number] != digests[0]).any()]
    return f"the weights of worker {others[0]} are not those of the chief" if others else ""


def _paths(digests: Digests) -> set[str]:
    return {path for path, _ in digests}


def _digest_of(digests: Digests) -> str:
    rows = "\n".join(f"{path} {replica} {value}" for (path, replica), value in sorted(digests.items()))
    return hashlib.sha256(rows.encode()).hexdigest()


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:5]) + (", …" if len(paths) > 5 else "")
