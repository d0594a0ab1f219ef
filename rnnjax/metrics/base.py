"""The metric contract: a population in, a symmetric [S, S] of distances out."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.typing import Key
from rnnjax.validate import finite_positive, positive_integer

__all__ = ["Invariance", "Level", "Metric", "Solved", "SolverOptions", "Takes"]

Takes = Literal["trajectories", "activities", "weights"]
"""States [S, B, T, N]; activities [S, samples, N]; recurrent weights [S, N, N]."""

Level = Literal["behavior", "dynamics", "weights", "representation", "features"]
"""Level at which networks are compared; `features` describes single networks."""

Invariance = Literal["relabelling", "rotation", "scaling"]
"""Changes of one network that leave its distances as they are: permuting its units, an orthogonal
map of its state, a positive factor."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A distance between networks; 0 means alike in what the metric compares."""

    name: str
    level: Level
    title: str
    """For a reader."""
    takes: Takes
    function: Callable[..., np.ndarray]
    """The public function, with its own options."""
    invariances: frozenset[Invariance]
    options: tuple[str, ...] = ()
    """Options of the function that metrics share, such as `variance`."""

    def distances(self, population: Any, *, key: Key, **options: Any) -> np.ndarray:
        """Distances of all pairs, [S, S]; `key` is not used by a metric without random starts."""
        random = {} if self.takes == "activities" else {"key": key}
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

    def __post_init__(self):
        for name in ("starts", "steps"):
            if getattr(self, name) is not None:
                positive_integer(name, getattr(self, name))
        if self.memory is not None:
            finite_positive("memory", self.memory)


class Solved(enum.IntEnum):
    """How an iterative solver ended for one pair; its value is an upper bound either way."""

    CONVERGED = 0
    """A stationary point was reached to the solver's tolerance, or the optimum is certain."""
    EXHAUSTED = 1
    """The steps ran out first; more `steps` may lower the value a little."""
