"""Pairs of a population as jobs of an executor."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax.jobs import Job, run_jobs
from rnnjax.metrics.base import SolverOptions
from rnnjax.typing import Key

__all__ = ["PortableKey", "solve_on_workers"]

RANGES = 32
"""Largest number of jobs: enough for many workers, few enough that compiling does not dominate."""

Arrays = tuple[np.ndarray, np.ndarray]


class PortableKey(NamedTuple):
    """A random key as it travels to other processes."""

    data: np.ndarray
    kind: str
    """Name of JAX's implementation."""

    @classmethod
    def of(cls, key: Key) -> "PortableKey":
        """The key of this process."""
        return cls(np.asarray(jax.random.key_data(key)), str(jax.random.key_impl(key)))

    def restore(self) -> Key:
        """The key on a worker."""
        return jax.random.wrap_key_data(jnp.asarray(self.data), impl=self.kind)


def solve_range(
    solve: Callable[..., Any], matrices: Arrays, members: Arrays, key: PortableKey, *settings: Any
) -> Any:
    """Solves a range of pairs on a worker."""
    return solve(matrices, members, key.restore(), *settings)


def solve_on_workers(
    solve: Callable[..., Any],
    matrices: Arrays,
    members: Arrays,
    key: Key,
    solver: SolverOptions,
    *settings: Any,
) -> Any:
    """Solves pairs in ranges, each on one worker of `solver.workers`; joins them in their order.

    `solve(matrices, members, key, solver, *settings)` is a function of a module, which returns a
    tree of arrays with one entry per pair. A job gets the matrices of its members alone.

    Raises `JobError`, which names the ranges that failed in every attempt.
    """
    pairs = len(members[0])
    plain = dataclasses.replace(solver, workers=None, progress=None)
    portable = PortableKey.of(key)
    ranges = {
        f"pairs {numbers[0]} to {numbers[-1]}": numbers
        for numbers in np.array_split(np.arange(pairs), min(pairs, RANGES))
    }

    def job(name: str) -> Job:
        used = [np.unique(member[ranges[name]], return_inverse=True) for member in members]
        chosen = tuple(one[kept] for one, (kept, _) in zip(matrices, used, strict=True))
        places = tuple(place for _, place in used)
        arguments = (solve, chosen, places, portable, plain, *settings)
        return Job(name, "", lambda _: (solve_range, arguments))

    found: dict[str, Any] = {}
    done = 0
    for ended, result in run_jobs(solver.workers, map(job, ranges)):
        found[ended.name] = result
        done += len(ranges[ended.name])
        if solver.progress is not None:
            solver.progress(done, pairs)
    ordered = [found[name] for name in ranges]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *ordered)
