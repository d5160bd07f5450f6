"""The optimizers of a phase: one per rate and age of state; clipping over all replicas; states to carry over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.phase_settings import OptimizerSettings, PhaseSettings
from trainer.rate_groups import RateGroup
from trainer.replicas import Array, Components, components, read, write
from trainer.schedules import RateTable


@dataclass(frozen=True)
class Carried:
    """What an optimizer knew at the end of a phase.

    Attributes:
        iterations: how many updates each variable has had, by its path.
        slots: moments, by path, kind and replica.
        rates: the last learning rate of each variable, by its path.
    """

    iterations: Mapping[str, int]
    slots: Mapping[str, Array]
    rates: Mapping[str, float]


@dataclass(frozen=True)
class _Member:
    """A Keras optimizer and what it updates; all its variables have had equally many updates."""

    group: str
    multiplier: float
    variables: tuple[Any, ...]
    optimizer: Any
    table: RateTable

    def last_rate(self) -> float:
        """The rate of the last update, or of the first where there was none yet."""
        position = int(np.array(self.optimizer.iterations)) - self.table.first_iteration - 1
        return float(self.table.values[max(0, min(position, len(self.table.values) - 1))])


class Optimizers:
    """All optimizers of a phase, used as one."""

    def __init__(self, members: Sequence[_Member], settings: OptimizerSettings) -> None:
        self._members = tuple(members)
        self._settings = settings

    @property
    def trained(self) -> list[Any]:
        """What they update, in the order that `apply` takes gradients in."""
        return [variable for member in self._members for variable in member.variables]

    @property
    def variables(self) -> list[Any]:
        """Their own variables: iterations and moments."""
        return [variable for member in self._members for variable in member.optimizer.variables]

    def rates(self) -> dict[str, float]:
        """The learning rate of the last update, by the name of the rate group."""
        return {member.group: member.last_rate() for member in self._members}

    def apply(self, gradients: Sequence[tf.Tensor | None]) -> None:
        """Updates the variables; to be called on each replica.

        Args:
            gradients: this replica's share of each; the shares are added up.
        """
        if self._settings.clip_norm is not None:
            gradients = _clip_over_replicas(gradients, self._settings.clip_norm)
        first = 0
        for member in self._members:
            following = first + len(member.variables)
            member.optimizer.apply(gradients[first:following], list(member.variables))
            first = following

    def carry(self) -> Carried:
        """What the next phase may take over."""
        each = [(member, variable) for member in self._members for variable in member.variables]
        return Carried(
            iterations={variable.path: int(np.array(member.optimizer.iterations)) for member, variable in each},
            slots=read(self._slots()),
            rates={variable.path: member.last_rate() for member, variable in each},
        )

    def take_over(self, carried: Carried) -> None:
        """Sets the moments of those variables that an earlier phase trained.

        Keras's momentum of "sgd" is a sum of updates, the learning rate of their time included: taken as it is into a
        phase with a hundredth of the rate, it would move weights a hundred times too far. So it shrinks with the rate.
        """
        own = self._slots()
        values = {name: value for name, value in carried.slots.items() if name in own}
        if self._settings.name == "sgd":
            rates = {variable.path: member.last_rate() for member in self._members for variable in member.variables}
            factors = {
                path: min(1.0, rate / carried.rates[path]) for path, rate in rates.items() if path in carried.rates
            }
            values = {name: (value * factors[_path_of(name)]).astype(value.dtype) for name, value in values.items()}
        write(own, values)

    def _slots(self) -> Components:
        found: Components = {}
        for member in self._members:
            by_name = {variable.name: variable for variable in member.optimizer.variables}
            for variable in member.variables:
                for kind in _slot_kinds(self._settings):
                    slot = by_name[f"{variable.path.replace('/', '_')}_{kind}"]
                    for replica, component in enumerate(components(slot)):
                        found[f"{variable.path}|{kind}|{replica}"] = component
        return found


def build(
    groups: Sequence[RateGroup], phase: PhaseSettings, rates: np.ndarray[Any, Any], first_iterations: Mapping[str, int]
) -> Optimizers:
    """Makes the optimizers of a phase; to be called in the strategy's scope.

    A variable that begins to train gets an optimizer of its own, which counts from 0: Adam divides its moments by what
    they lack after so many iterations, and with the count of an older optimizer the first steps of a new variable
    would be three times too large.

    Args:
        groups: every trainable variable, in exactly one of them.
        phase: its optimizer.
        rates: of the head at each step: [steps].
        first_iterations: how many updates variables have had whose state is carried over, by path.
    """
    members: list[_Member] = []
    for group in groups:
        for iteration in sorted({first_iterations.get(variable.path, 0) for variable in group.variables}):
            variables = tuple(found for found in group.variables if first_iterations.get(found.path, 0) == iteration)
            table = RateTable(rates * group.multiplier, iteration)
            optimizer = _keras_optimizer(phase.optimizer, table, f"optimizer_{len(members)}")
            optimizer.exclude_from_weight_decay(var_list=[found for found in variables if len(found.shape) < 2])
            optimizer.build(list(variables))
            optimizer.iterations.assign(iteration)
            members.append(_Member(group.name, group.multiplier, variables, optimizer, table))
    return Optimizers(members, phase.optimizer)


def _keras_optimizer(settings: OptimizerSettings, table: RateTable, name: str) -> Any:
    decay = settings.weight_decay or None
    if settings.name == "sgd":
        return keras.optimizers.SGD(table, momentum=settings.momentum, weight_decay=decay, name=name)
    if settings.name == "adamw" and decay:
        return keras.optimizers.AdamW(table, weight_decay=decay, name=name)
    return keras.optimizers.Adam(table, name=name)


def _slot_kinds(settings: OptimizerSettings) -> tuple[str, ...]:
    if settings.name == "sgd":
        return ("momentum",) if settings.momentum else ()
    return ("momentum", "velocity")


def _path_of(slot: str) -> str:
    return slot.split("|")[0]


def _clip_over_replicas(gradients: Sequence[tf.Tensor | None], clip_norm: float) -> list[tf.Tensor | None]:
    """Clips the sum over replicas by its norm, and gives each replica an equal share of it.

    Keras adds up over replicas in the update itself, so its own clipping sees one replica's share: with two replicas
    that pull in opposite directions it would clip what in truth is small.
    """
    context = tf.distribute.get_replica_context()
    present = [gradient for gradient in gradients if gradient is not None]
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, present)
    clipped, _ = tf.clip_by_global_norm(summed, clip_norm)
    shares = iter([gradient / context.num_replicas_in_sync for gradient in clipped])
    return [None if gradient is None else next(shares) for gradient in gradients]
