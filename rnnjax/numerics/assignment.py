"""Linear assignment of many cost matrices at once."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnnjax.devices import available_cores
from rnnjax.typing import Array

__all__ = ["assign"]

_SHARE = 8
"""Smallest number of matrices per thread; with fewer a thread costs more than it saves."""


def assign(costs: Array | np.ndarray, index: np.ndarray | None = None) -> np.ndarray:
    """Column of every row under the assignment of least total cost, [M, N], of costs [M, N, N].

    On CPU by scipy's shortest augmenting paths, in one thread per core (scipy releases the
    interpreter lock); on an accelerator by optax, so that the costs stay on the device.

    Args:
        costs: finite costs.
        index: indices of the matrices to solve, for a result [len(index), N]; all by default.
    """
    index = np.arange(len(costs)) if index is None else index
    if isinstance(costs, jax.Array) and jax.default_backend() != "cpu":
        return np.asarray(_on_device(costs))[index]
    costs = np.asarray(costs)
    columns = np.empty((len(index), costs.shape[-1]), np.int32)

    from scipy.optimize import linear_sum_assignment  # slow to import

    def solve(numbers: np.ndarray) -> None:
        for m in numbers:
            columns[m] = linear_sum_assignment(costs[index[m]])[1]

    parts = min(available_cores(), max(len(index) // _SHARE, 1))
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(solve, np.array_split(np.arange(len(index)), parts)))
    return columns


@jax.jit
def _on_device(costs: Array) -> Array:
    def one(cost: Array) -> Array:
        rows, columns = optax.assignment.hungarian_algorithm(cost)
        return jnp.zeros(len(cost), jnp.int32).at[rows].set(columns.astype(jnp.int32))

    return jax.vmap(one)(costs)
