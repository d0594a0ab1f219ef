"""What a sweep says: success, critical and best learning rates, scaling laws with intervals."""

from rnnjax.analysis.bisection import bisect_critical_rates
from rnnjax.analysis.scaling import power_law
from rnnjax.analysis.schema import conditions, diverged, finished, require, status_counts
from rnnjax.analysis.speed import steps_scaling, steps_to_learn
from rnnjax.analysis.success import (
    best_learning_rates,
    critical_learning_rate,
    succeeded,
    success_density,
)

__all__ = [
    "best_learning_rates",
    "bisect_critical_rates",
    "conditions",
    "critical_learning_rate",
    "diverged",
    "finished",
    "power_law",
    "require",
    "status_counts",
    "steps_scaling",
    "steps_to_learn",
    "succeeded",
    "success_density",
]
