"""Power law of the critical learning rate against network size."""

from typing import Any, NamedTuple, get_args

import numpy as np
import xarray as xr

from rnnjax.analysis.regression import (
    LINE_SAMPLES,
    LINE_VARIABLES,
    Line,
    Resampling,
    fit_conditions,
    fit_lines,
    line_summary,
    seed_weights,
    seeds_vary,
)
from rnnjax.analysis.schema import require
from rnnjax.analysis.success import Edge, critical_bracket, succeeded
from rnnjax.validate import fraction, instance_of, one_of

__all__ = ["power_law"]


class Brackets(NamedTuple):
    """log10 of the rates that bracket each critical rate, `[..., H]`; NaN where it is censored."""

    lower: np.ndarray
    upper: np.ndarray
    censored: np.ndarray


def _brackets(density: np.ndarray, log_rates: np.ndarray, level: float, edge: Edge) -> Brackets:
    """`density` `[..., H, L]` -> the bracket at each width."""
    lower, upper, top = critical_bracket(density, level, edge)
    known = (lower >= 0) & (upper < len(log_rates))
    low = np.where(known, log_rates[lower], np.nan)
    high = np.where(known, log_rates[np.minimum(upper, len(log_rates) - 1)], np.nan)
    return Brackets(low, high, (top >= 0) & ~known)


def _weighted_density(success: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of `success` `[H, L, S]` over its runs with `weights` `[R, H, S]` -> `[R, H, L]`."""
    run = ~np.isnan(success)
    total = np.einsum("rhs,hls->rhl", weights, run.astype(float))
    passed = np.einsum("rhs,hls->rhl", weights, np.where(run, success, 0.0))
    return np.where(total > 0, passed / np.where(total > 0, total, 1.0), np.nan)


def _narrow(found: Brackets, observed: Brackets) -> Brackets:
    """Brackets `[R, H]` cut to the width of the observed ones `[H]`, on the side away from them.

    A bisection refines the grid only around the observed bracket. Uncut, the bracket of a resample
    just outside the refined rates would span the decades that were not run.
    """
    width = observed.upper - observed.lower
    below = found.upper <= observed.lower
    above = found.lower >= observed.upper
    lower = np.where(below, np.fmax(found.lower, found.upper - width), found.lower)
    upper = np.where(above, np.fmin(found.upper, found.lower + width), found.upper)
    return Brackets(lower, upper, found.censored)


def _resample_lines(
    success: np.ndarray,
    observed: Brackets,
    log_rates: np.ndarray,
    sizes: np.ndarray,
    level: float,
    edge: Edge,
    resampling: Resampling,
) -> Line:
    """Refits the power law to reweighted seeds, each rate drawn log-uniformly in its bracket."""
    rng = resampling.generator()
    weights = seed_weights(rng, resampling.resamples, np.invert(np.isnan(success).all(1)))
    found = _brackets(_weighted_density(success, weights), log_rates, level, edge)
    found = _narrow(found, observed)
    place = rng.uniform(size=found.lower.shape)
    log_sizes = np.log10(sizes.astype(float))
    return fit_lines(log_sizes, found.lower + place * (found.upper - found.lower))


_SCALARS = (*LINE_VARIABLES, "points_used", "points_censored", "hidden_min", "hidden_max")


def power_law(
    dataset: xr.Dataset,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    *,
    edge: Edge = "last",
    point: str = "middle",
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Fits `log10 rate = intercept + exponent * log10 N` to the critical learning rates.

    Only widths whose critical rate is bracketed by evaluated rates enter. `point` places it in its
    bracket: `"middle"` (geometric) or `"lower"`; with equal brackets both give the same exponent.
    `edge` is that of `critical_learning_rate`.

    The interval covers seeds and grid spacing. Each resample reweights the seeds of each width
    (Bayesian bootstrap), draws every rate log-uniformly within its new bracket, cut to the width of
    the observed one, and refits without the censored widths. Independent draws give too narrow an
    interval where the rate falls by few grid steps, so it is widened to every slope whose line
    passes through all observed brackets. It is NaN where a width has one seed. `scatter_low` and
    `scatter_high`, Student's t interval from the residuals, are wide where a power law fits badly.

    Returns a Dataset over the remaining dimensions: `exponent`, `intercept`, `exponent_low`,
    `exponent_high`, `scatter_low`, `scatter_high`, `points_used`, `points_censored`, `hidden_min`,
    `hidden_max` (of the points used) and, along `resample`, `exponent_samples` and
    `intercept_samples`. Fewer than three usable points give NaN exponents, with the counts.
    Raises `ValueError` without the dimensions `hidden`, `learning_rate` and `seed`.
    """
    require(dataset, dims=["hidden", "learning_rate", "seed"])
    fraction("level", level, open_below=True)
    one_of("edge", edge, get_args(Edge))
    one_of("point", point, ["middle", "lower"])
    instance_of("resampling", resampling, Resampling)
    ordered = dataset.sortby(["hidden", "learning_rate"])
    log_rates = np.log10(ordered["learning_rate"].values.astype(float))
    sizes = ordered["hidden"].values

    def fit(success: np.ndarray) -> dict[str, Any]:
        """`success` `[H, L, S]` of one condition -> its variables."""
        density = _weighted_density(success, np.ones((1, *success.shape[::2])))[0]
        found = _brackets(density, log_rates, level, edge)
        position = found.lower if point == "lower" else (found.lower + found.upper) / 2
        lines = _resample_lines(success, found, log_rates, sizes, level, edge, resampling)
        if not seeds_vary(np.invert(np.isnan(success).all(1)), ~np.isnan(position)):
            lines = Line(*np.full_like(lines, np.nan))
        summary = line_summary(sizes, position, lines, resampling.confidence, found[:2])
        return {**summary, "points_censored": found.censored.sum()}

    success = succeeded(ordered, accuracy, threshold)
    dims = ["hidden", "learning_rate", "seed"]
    return fit_conditions(fit, [success], [dims], scalars=_SCALARS, samples=LINE_SAMPLES)
