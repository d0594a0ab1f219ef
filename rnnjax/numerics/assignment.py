"""Linear assignment for many cost matrices at once."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.optimize

from rnnjax.devices import available_cores
from rnnjax.typing import Array

__all__ = ["assign"]

_SHARE = 8
"""Matrices a thread is given at least: below that, handing them over costs more than it gains."""


def assign(costs: Array | np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
    """Column of every row under the assignment of least total cost: [M, N] of costs [M, N, N].

    On CPU by scipy's shortest augmenting paths, in as many threads as there are cores (it lets go
    of the interpreter's lock); on an accelerator by optax, where the costs stay on the device.

    Args:
        costs: finite costs.
        which: numbers of the matrices to solve; [len(which), N] is returned. All by default.
    """
    which = np.arange(len(costs)) if which is None else which
    if isinstance(costs, jax.Array) and jax.default_backend() != "cpu":
        return np.asarray(_on_device(costs))[which]
    costs = np.asarray(costs)
    columns = np.empty((len(which), costs.shape[-1]), np.int32)

    def solve(numbers: np.ndarray) -> None:
        for m in numbers:
            columns[m] = scipy.optimize.linear_sum_assignment(costs[which[m]])[1]

    parts = min(available_cores(), max(len(which) // _SHARE, 1))
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(solve, np.array_split(np.arange(len(which)), parts)))
    return columns


@jax.jit
def _on_device(costs: Array) -> Array:
    def one(cost: Array) -> Array:
        rows, columns = optax.assignment.hungarian_algorithm(cost)
        return jnp.zeros(len(cost), jnp.int32).at[rows].set(columns.astype(jnp.int32))

    return jax.vmap(one)(costs)
