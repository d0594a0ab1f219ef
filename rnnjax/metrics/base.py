"""The metric contract: a population in, a symmetric [S, S] of distances out."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from rnnjax.typing import Key

__all__ = ["Invariance", "Metric", "Solved", "Takes"]

Takes = Literal["trajectories", "activities", "weights"]
"""States [S, B, T, N]; activities [S, samples, N]; recurrent weights [S, N, N]."""

Invariance = Literal["relabelling", "rotation", "scaling"]
"""What may be done to one network and not be seen: permuting its units, an orthogonal map of its
state, a positive factor."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A distance between networks; 0 means alike in what the metric sees."""

    name: str
    takes: Takes
    function: Callable[..., np.ndarray]
    """The public function, with its own options."""
    invariances: frozenset[Invariance]

    def distances(self, population: Any, *, key: Key) -> np.ndarray:
        """Distances of all pairs under the defaults, [S, S]; without chance, `key` is not used."""
        chance = {} if self.takes == "activities" else {"key": key}
        return self.function(population, **chance)


class Solved(enum.IntEnum):
    """How an iterative solver ended for one pair; its value is an upper bound either way."""

    CONVERGED = 0
    """A stationary point was reached to the solver's tolerance, or the optimum is certain."""
    EXHAUSTED = 1
    """The steps ran out first; more `steps` may lower the value a little."""
