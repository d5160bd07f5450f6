"""The machines that train together, as `TF_CONFIG` names them; TensorFlow is not needed to read it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.errors import ConfigurationError

VARIABLE = "TF_CONFIG"
_ROLES = ("chief", "worker")
_EXAMPLE = '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """Two workers or more, one process each.

    Attributes:
        addresses: "host:port" of each by its role, "chief" or "worker", in the order of their indices.
        role: of this process.
        index: of this process within its role.
    """

    addresses: Mapping[str, tuple[str, ...]]
    role: str
    index: int

    @property
    def number(self) -> int:
        """Of this process among all, from 0; that of the chief is 0."""
        return self.index + (len(self.addresses.get("chief", ())) if self.role == "worker" else 0)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what comes out; without a "chief" it is the first worker."""
        return self.number == 0

    @property
    def all_addresses(self) -> tuple[str, ...]:
        """Of all workers, by their number."""
        return tuple(address for role in _ROLES for address in self.addresses.get(role, ()))

    @property
    def name(self) -> str:
        """Of this process, for messages."""
        return f"{self.role} {self.index} ({self.all_addresses[self.number]})"


def from_environment(environment: Mapping[str, str] | None = None) -> Cluster | None:
    """What `TF_CONFIG` says; None where it is not there, or names this machine alone.

    Raises:
        ConfigurationError: it cannot be right, or asks for what thaw has not.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE, "").strip()
    if not text:
        return None
    content = _mapping(_parsed(text), "it")
    addresses = _addresses(content.get("cluster") or {})
    if sum(len(of_role) for of_role in addresses.values()) < 2:
        return None
    return Cluster(addresses, *_task(content.get("task"), addresses))


def cluster_to_join() -> Cluster:
    """What `TF_CONFIG` in the environment says.

    Raises:
        ConfigurationError: it is not there, names this machine alone, or cannot be right.
    """
    cluster = from_environment()
    if cluster is None:
        raise ConfigurationError(f"{VARIABLE} names no other machine, so there is nothing to join")
    return cluster


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _wrong(f"it is no JSON ({error}): {text[:80]!r}") from None


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(f"{what} is {value!r}, but must be an object with keys")
    return value


def _addresses(cluster: Any) -> dict[str, tuple[str, ...]]:
    found = _mapping(cluster, "its cluster")
    if "ps" in found:
        raise _wrong("its cluster has parameter servers (ps), but all workers of thaw hold all weights; leave them out")
    unknown = sorted(set(found) - set(_ROLES))
    if unknown:
        raise _wrong(f"its cluster has tasks of the type {unknown[0]!r}; there are {' and '.join(_ROLES)}")
    for role, of_role in found.items():
        if not isinstance(of_role, list) or not all(isinstance(address, str) and ":" in address for address in of_role):
            raise _wrong(f"cluster.{role} is {of_role!r}, but must be a list of host:port")
    addresses = {role: tuple(found[role]) for role in _ROLES if found.get(role)}
    if len(addresses.get("chief", ())) > 1:
        raise _wrong(f"its cluster has {len(addresses['chief'])} chiefs; name one")
    named = [address for of_role in addresses.values() for address in of_role]
    twice = sorted({address for address in named if named.count(address) > 1})
    if twice:
        raise _wrong(f"its cluster names {twice[0]} twice")
    return addresses


def _task(task: Any, addresses: Mapping[str, tuple[str, ...]]) -> tuple[str, int]:
    if not task:
        raise _wrong("it names a cluster, but no task: which of its machines this one is")
    found = _mapping(task, "its task")
    role, index = found.get("type"), found.get("index")
    if role not in addresses:
        raise _wrong(f"task.type is {role!r}, but the cluster has {' and '.join(addresses)}")
    number = len(addresses[role])
    if not str(index).isdecimal() or int(str(index)) >= number:
        there = "0" if number == 1 else f"0 to {number - 1}"
        raise _wrong(f"task.index is {index!r}, but the cluster has {role} {there}")
    return role, int(str(index))


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{VARIABLE}: {what}. It looks like {_EXAMPLE}, with another task on each machine; unset it to train on this "
        "machine alone"
    )
