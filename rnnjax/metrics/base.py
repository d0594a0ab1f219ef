"""The interface of a metric: from a population to a symmetric matrix [S, S] of distances."""

import dataclasses
import enum
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import numpy as np

from rnnjax.jobs import as_workers
from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.typing import KeyLike
from rnnjax.validate import callback, finite_positive, instance_of, plain, positive_integer

__all__ = ["Invariance", "Level", "Metric", "Solved", "SolverOptions", "Takes", "checked_solver"]

Takes = Literal["trajectories", "activities", "weights"]
"""States [S, B, T, N]; activities [S, samples, N]; recurrent weights [S, N, N]."""

Level = Literal["behavior", "dynamics", "weights", "representation", "features"]
"""Level of comparison; `features` describes single networks."""

Invariance = Literal["relabelling", "rotation", "scaling"]
"""Changes of one network that leave its distances unchanged: a permutation of its units, an
orthogonal map of its state, a positive factor."""

_NOT_SETTINGS = ("key", "progress", "solver", "regression")
"""Parameters of metrics that are no settings themselves."""


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
    unit: str = ""
    """Unit of the distances; empty for a pure number."""
    scores: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict, hash=False)
    """Title and unit by the option `score`, where the function has one."""

    def distances(self, population: Any, *, key: KeyLike, **options: Any) -> np.ndarray:
        """Distances of all pairs, [S, S]; `key` serves functions that draw random starts."""
        random = {"key": key} if "key" in inspect.signature(self.function).parameters else {}
        return self.function(population, **random, **options)

    def label(self, settings: Mapping[str, Any]) -> tuple[str, str]:
        """Title and unit of distances with these settings of the function."""
        return self.scores.get(settings.get("score", ""), (self.title, self.unit))

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the function, given in `options` or by default."""
        _, *parameters = inspect.signature(self.function).parameters.values()
        return {
            p.name: options.get(p.name, p.default)
            for p in parameters
            if p.name not in _NOT_SETTINGS
        }

    def attributes(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Title, unit and settings of distances, as attributes of a labelled array."""
        title, unit = self.label(settings)
        return _plain_attributes({"long_name": title, "units": unit or None, **settings})


def _plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that netCDF can hold: numbers, strings and lists of numbers; none that is None."""
    found = {name: plain(value) for name, value in attributes.items()}
    return {
        name: list(map(plain, value))
        if isinstance(value, Iterable) and not isinstance(value, str)
        else value
        for name, value in found.items()
        if value is not None
    }


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
