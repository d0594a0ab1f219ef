"""What a sweep says: success, critical and best learning rates, scaling laws with intervals.

And what a population became, and how long a memory a task asks for.
"""

from rnnjax.analysis.bisection import bisect_critical_rates
from rnnjax.analysis.curves import curve_distance, loss_ratio, smoothed_loss, steps_to_loss
from rnnjax.analysis.memory import memory_demand
from rnnjax.analysis.populations import level_trend, measure_population
from rnnjax.analysis.scaling import power_law
from rnnjax.analysis.schema import conditions, diverged, finished, require, status_counts
from rnnjax.analysis.slowdown import loss_scaling, slowdown
from rnnjax.analysis.speed import steps_scaling, steps_to_learn
from rnnjax.analysis.success import (
    best_learning_rates,
    critical_learning_rate,
    succeeded,
    success_density,
)
from rnnjax.analysis.transfer import (
    best_rate_scaling,
    exponent_difference,
    rate_shift,
    transfer_verdict,
)

__all__ = [
    "best_learning_rates",
    "best_rate_scaling",
    "bisect_critical_rates",
    "conditions",
    "critical_learning_rate",
    "curve_distance",
    "diverged",
    "exponent_difference",
    "finished",
    "level_trend",
    "loss_ratio",
    "loss_scaling",
    "measure_population",
    "memory_demand",
    "power_law",
    "rate_shift",
    "require",
    "slowdown",
    "smoothed_loss",
    "status_counts",
    "steps_scaling",
    "steps_to_learn",
    "steps_to_loss",
    "succeeded",
    "success_density",
    "transfer_verdict",
]
