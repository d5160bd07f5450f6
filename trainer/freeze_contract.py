"""Checks that what had to stay frozen did: digests of variables, on every replica, before and after a phase."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.classifier import Classifier
from trainer.errors import FreezeContractError

# Variable path and replica number to the sha256 of the variable's bytes.
Digests = Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class ContractReport:
    """What a phase did to the variables.

    Attributes:
        phase: its name.
        num_frozen_variables: how many were checked and found unchanged, on each replica.
        num_replicas: how many copies of each were compared.
        changed: paths of the variables that the phase changed.
        frozen_sha256: one digest over all frozen variables, the same before and after.
    """

    phase: str
    num_frozen_variables: int
    num_replicas: int
    changed: tuple[str, ...]
    frozen_sha256: str


def digest_variables(model: Classifier) -> Digests:
    """Digests every variable of the backbone and the head, statistics of BatchNormalization included."""
    return {
        (variable.path, replica): hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        for variable in model.weights
        for replica, value in enumerate(_values(variable))
    }


def check(model: Classifier, phase: str, before: Digests) -> ContractReport:
    """Compares the variables with their digests from before the phase.

    Args:
        model: after the phase, with `trainable` still as it was in the phase.
        phase: name for the report.
        before: from `digest_variables`.

    Raises:
        FreezeContractError: a frozen variable changed on some replica, or the replicas of one differ.
    """
    after = digest_variables(model)
    frozen = {variable.path for variable in model.non_trainable_variables if variable.path in _paths(after)}
    drifted = sorted(
        {path for (path, replica), value in after.items() if path in frozen and before[path, replica] != value}
    )
    if drifted:
        raise FreezeContractError(
            f"phase {phase!r} changed {len(drifted)} variables that had to stay frozen: {_some(drifted)}; the result "
            "is not what was asked for and is not kept"
        )
    apart = sorted({path for (path, _), value in after.items() if after[path, 0] != value})
    if apart:
        raise FreezeContractError(
            f"after phase {phase!r} the replicas differ in {len(apart)} variables: {_some(apart)}"
        )
    return ContractReport(
        phase=phase,
        num_frozen_variables=len(frozen),
        num_replicas=1 + max(replica for _, replica in after),
        changed=tuple(
            sorted(path for (path, replica), value in after.items() if not replica and before[path, 0] != value)
        ),
        frozen_sha256=_digest_of({key: value for key, value in after.items() if key[0] in frozen}),
    )


def _values(variable: Any) -> list[np.ndarray[Any, Any]]:
    """The variable's value on each replica; a MirroredVariable has one component per device."""
    mirrored = variable.value
    components: Iterable[Any] = getattr(mirrored, "values", None) or (mirrored,)
    return [np.asarray(component) for component in components]


def _paths(digests: Digests) -> set[str]:
    return {path for path, _ in digests}


def _digest_of(digests: Digests) -> str:
    rows = "\n".join(f"{path} {replica} {value}" for (path, replica), value in sorted(digests.items()))
    return hashlib.sha256(rows.encode()).hexdigest()


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:5]) + (", …" if len(paths) > 5 else "")
