"""The interface of a metric: from a population to a symmetric matrix [S, S] of distances."""

import dataclasses
import enum
import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from rnnjax.jobs import as_workers
from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.typing import KeyLike
from rnnjax.validate import callback, finite_positive, instance_of, positive_integer

__all__ = ["Invariance", "Level", "Metric", "Solved", "SolverOptions", "Takes", "checked_solver"]

Takes = Literal["trajectories", "activities", "weights"]
"""States [S, B, T, N]; activities [S, samples, N]; recurrent weights [S, N, N]."""

Level = Literal["behavior", "dynamics", "weights", "representation", "features"]
"""Level of comparison; `features` describes single networks."""

Invariance = Literal["relabelling", "rotation", "scaling"]
"""Changes of one network that leave its distances unchanged: a permutation of its units, an
orthogonal map of its state, a positive factor."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A distance between networks; 0 means alike in everything that the metric compares."""

    name: str
    level: Level
    title: str
    """Label in tables and figures."""
    takes: Takes
    function: Callable[..., np.ndarray]
    """The public function."""
    invariances: frozenset[Invariance]
    options: tuple[str, ...] = ()
    """Names of the options that the function has in common with other metrics."""

    def distances(self, population: Any, *, key: KeyLike, **options: Any) -> np.ndarray:
        """Distances of all pairs, [S, S]; `key` serves functions that draw random starts."""
        random = {"key": key} if "key" in inspect.signature(self.function).parameters else {}
        return self.function(population, **random, **options)


@dataclasses.dataclass(frozen=True)
class SolverOptions:
    """Settings of an iterative solver; raises `ValueError` for a number out of range."""

    starts: int | None = None
    """Starting points of each pair; `default_starts` of the metric by default."""
    steps: int | None = None
    """Largest number of steps from a start; `STEPS` of the metric by default."""
    memory: float | None = None
    """Memory of a batch of pairs, bytes; `rnnjax.devices.batch_memory()` by default."""
    progress: BatchCallback | None = None
    """Called after every batch with the number of pairs done and of all pairs."""
    workers: Any = None
    """An executor, or `rnnjax.sweep.Workers`, whose processes solve ranges of the pairs."""

    def __post_init__(self):
        object.__setattr__(self, "workers", as_workers(self.workers))
        for name in ("starts", "steps"):
            if getattr(self, name) is not None:
                positive_integer(name, getattr(self, name))
        if self.memory is not None:
            finite_positive("memory", self.memory)
        callback("progress", self.progress)


def checked_solver(solver: SolverOptions | None) -> SolverOptions:
    """`solver`, or the defaults; raises `ValueError` for anything else."""
    return SolverOptions() if solver is None else instance_of("solver", solver, SolverOptions)


class Solved(enum.IntEnum):
    """Status of an iterative solver for one pair; the value is an upper bound either way."""

    CONVERGED = 0
    """The solver reached a stationary point to its tolerance, or the optimum is exact."""
    EXHAUSTED = 1
    """The solver took all of its steps; more `steps` may lower the value slightly."""
