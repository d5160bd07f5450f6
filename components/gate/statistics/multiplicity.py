"""Many tests at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's corrected p-values: to reject where one is at most alpha errs at all with probability at most alpha.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65. No independence is assumed.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return corrected
