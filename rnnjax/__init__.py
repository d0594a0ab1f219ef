"""Populations of recurrent networks: trained in one compiled program, compared at every level."""

from rnnjax import analysis, cells, metrics, parametrization, tasks, training
from rnnjax.population import Activity, Population, load_population, train_population
from rnnjax.rollout import Trajectory, rollout
from rnnjax.store import StoreError, load_parameters, load_results
from rnnjax.sweep import (
    Engine,
    ProgressBar,
    Sweep,
    Trained,
    log_rates,
    log_widths,
    run_sweep,
    train_one,
)
from rnnjax.training import Recipe, Status

__version__ = "0.1.0"

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
    "load_parameters",
    "load_population",
    "load_results",
    "log_rates",
    "log_widths",
    "metrics",
    "parametrization",
    "rollout",
    "run_sweep",
    "tasks",
    "train_one",
    "train_population",
    "training",
]
