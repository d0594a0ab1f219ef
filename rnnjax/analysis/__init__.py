"""Analyses of sweeps and populations: critical rates, scaling laws, degeneracy, fixed points."""

from rnnjax.analysis.attractors import Attractors, find_attractors
from rnnjax.analysis.bisection import bisect_critical_rates
from rnnjax.analysis.comparison import (
    Comparison,
    at_shared_places,
    chart_trends,
    embedding,
    matched,
    measure_difference,
    measure_estimate,
    measure_interval,
    measure_pooled,
    measure_trend,
)
from rnnjax.analysis.curves import smoothed_loss, steps_to_loss
from rnnjax.analysis.degeneracy import degeneracy
from rnnjax.analysis.fingerprints import FEATURES, FingerprintOptions, fingerprints
from rnnjax.analysis.measures import MEASURES, Measure
from rnnjax.analysis.networks import measure_population
from rnnjax.analysis.options import DegeneracyOptions
from rnnjax.analysis.pooling import Pooled, pool_trends, trend_difference
from rnnjax.analysis.regression import Resampling
from rnnjax.analysis.scaling import power_law
from rnnjax.analysis.schema import diverged, finished, iterate_conditions, require, status_counts
from rnnjax.analysis.solutions import (
    KindOptions,
    compare_fingerprints,
    find_kinds,
    share_intervals,
    shares_moved,
    solutions,
)
from rnnjax.analysis.speed import steps_scaling, steps_to_learn
from rnnjax.analysis.success import (
    best_learning_rates,
    critical_learning_rate,
    succeeded,
    success_density,
)
from rnnjax.analysis.thresholds import threshold_model
from rnnjax.analysis.trends import Estimate, Interval, Trend, estimate, factor_trend, interval
from rnnjax.analysis.variability import MatchOptions, match_variability, noise_share

__all__ = [
    "FEATURES",
    "MEASURES",
    "Attractors",
    "Comparison",
    "DegeneracyOptions",
    "Estimate",
    "FingerprintOptions",
    "Interval",
    "KindOptions",
    "MatchOptions",
    "Measure",
    "Pooled",
    "Resampling",
    "Trend",
    "at_shared_places",
    "best_learning_rates",
    "bisect_critical_rates",
    "chart_trends",
    "compare_fingerprints",
    "critical_learning_rate",
    "degeneracy",
    "diverged",
    "embedding",
    "estimate",
    "factor_trend",
    "find_attractors",
    "find_kinds",
    "fingerprints",
    "finished",
    "interval",
    "iterate_conditions",
    "match_variability",
    "matched",
    "measure_difference",
    "measure_estimate",
    "measure_interval",
    "measure_pooled",
    "measure_population",
    "measure_trend",
    "noise_share",
    "pool_trends",
    "power_law",
    "require",
    "share_intervals",
    "shares_moved",
    "smoothed_loss",
    "solutions",
    "status_counts",
    "steps_scaling",
    "steps_to_learn",
    "steps_to_loss",
    "succeeded",
    "success_density",
    "threshold_model",
    "trend_difference",
]
