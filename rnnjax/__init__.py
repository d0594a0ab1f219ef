"""Populations of recurrent networks: trained in one compiled program, compared in every aspect."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnjax import (
        analysis,
        cells,
        dynamics,
        loggers,
        metrics,
        parametrization,
        population,
        recordings,
        store,
        sweep,
        tasks,
        training,
    )
    from rnnjax import plots as plots
    from rnnjax import report as report
    from rnnjax.population import Activity, Population, load_population, train_population
    from rnnjax.recordings import compare
    from rnnjax.spacing import log_rates, log_widths
    from rnnjax.store import StoreError, load_parameters, load_results
    from rnnjax.sweep import Engine, ProgressBar, Sweep, Trained, run_sweep, train_one
    from rnnjax.training import Recipe, Status
    from rnnjax.trajectory import Trajectory, rollout

__version__ = "0.2.0"

__all__ = [
    "Activity",
    "Engine",
    "Population",
    "ProgressBar",
    "Recipe",
    "Status",
    "StoreError",
    "Sweep",
    "Trained",
    "Trajectory",
    "analysis",
    "cells",
    "compare",
    "dynamics",
    "load_parameters",
    "load_population",
    "load_results",
    "log_rates",
    "log_widths",
    "loggers",
    "metrics",
    "parametrization",
    "population",
    "recordings",
    "rollout",
    "run_sweep",
    "store",
    "sweep",
    "tasks",
    "train_one",
    "train_population",
    "training",
]

_MODULES = {
    "recordings": ("compare",),
    "population": ("Activity", "Population", "load_population", "train_population"),
    "trajectory": ("Trajectory", "rollout"),
    "spacing": ("log_rates", "log_widths"),
    "store": ("StoreError", "load_parameters", "load_results"),
    "sweep": ("Engine", "ProgressBar", "Sweep", "Trained", "run_sweep", "train_one"),
    "training": ("Recipe", "Status"),
}
_HOME = {name: f"rnnjax.{module}" for module, names in _MODULES.items() for name in names}
# `plots` and `report` are not in `__all__`, since they need matplotlib, which is optional.
_PACKAGES = (
    "analysis", "cells", "dynamics", "loggers", "metrics", "parametrization", "plots", "population",
    "recordings", "report", "store", "sweep", "tasks", "training",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports a part of the package when it is first used, so that a script waits for no other."""
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"rnnjax.{name}")
    else:
        raise AttributeError(f"module 'rnnjax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
