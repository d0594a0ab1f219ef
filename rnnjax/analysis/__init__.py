"""What a sweep says: success, critical and best learning rates, scaling laws with intervals.

And what a population became, how alike its networks are, where they come to rest, and how long a
memory a task asks for.
"""

from rnnjax.analysis.bisection import bisect_critical_rates
from rnnjax.analysis.comparison import (
    MEASURES,
    Comparison,
    Measure,
    chart_trends,
    embedding,
    matched,
    measure_estimate,
    measure_trend,
)
from rnnjax.analysis.curves import curve_distance, loss_ratio, smoothed_loss, steps_to_loss
from rnnjax.analysis.distances import degeneracy
from rnnjax.analysis.estimates import Estimate, Trend, estimate, factor_trend, pooled_trend
from rnnjax.analysis.memory import memory_demand
from rnnjax.analysis.populations import level_trend, measure_population
from rnnjax.analysis.rest import Attractors, attractors
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
    "MEASURES",
    "Attractors",
    "Comparison",
    "Estimate",
    "Measure",
    "Trend",
    "attractors",
    "best_learning_rates",
    "best_rate_scaling",
    "bisect_critical_rates",
    "chart_trends",
    "conditions",
    "critical_learning_rate",
    "curve_distance",
    "degeneracy",
    "diverged",
    "embedding",
    "estimate",
    "exponent_difference",
    "factor_trend",
    "finished",
    "level_trend",
    "loss_ratio",
    "loss_scaling",
    "matched",
    "measure_estimate",
    "measure_population",
    "measure_trend",
    "memory_demand",
    "pooled_trend",
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
