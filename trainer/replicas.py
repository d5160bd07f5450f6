"""Variables as they lie on the replicas: one component per device under MirroredStrategy, else the variable itself."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]
# A name that is unique in the training state, to one replica's variable.
Components = dict[str, tf.Variable]


def components(variable: Any) -> tuple[tf.Variable, ...]:
    """The variable on each replica.

    Args:
        variable: of Keras or of TensorFlow, mirrored or not.
    """
    inner = getattr(variable, "value", None)
    held = variable if inner is None or callable(inner) else inner
    return tuple(getattr(held, "values", None) or (held,))


def name_components(prefix: str, variables: Iterable[Any]) -> Components:
    """Names each replica's share of the variables: "model/3/0" is the fourth variable on the first replica.

    Names of Keras would not do: layers without a name of their own get another one each time a model is built.
    """
    return {
        f"{prefix}/{index}/{replica}": component
        for index, variable in enumerate(variables)
        for replica, component in enumerate(components(variable))
    }


def read(state: Mapping[str, tf.Variable]) -> dict[str, Array]:
    """A copy of each component's value."""
    return {name: np.array(component) for name, component in state.items()}


def write(state: Mapping[str, tf.Variable], values: Mapping[str, Array]) -> None:
    """Sets the components that `values` names.

    Raises:
        KeyError: it names one that there is not.
    """
    for name, value in values.items():
        state[name].assign(value)


def local_variable(initial: Any, name: str) -> tf.Variable:
    """A variable that each replica reads and writes on its own; must be made in the strategy's scope."""
    return tf.Variable(
        initial,
        trainable=False,
        name=name,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
