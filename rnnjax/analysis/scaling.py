"""How the critical learning rate falls with network size: Eq. 6 of the collapse paper."""

from typing import NamedTuple, get_args

import numpy as np
import xarray as xr

from rnnjax.analysis.regression import (
    Line,
    Resampling,
    consistent_slopes,
    fit_lines,
    percentile_interval,
    residual_interval,
    seed_weights,
)
from rnnjax.analysis.schema import require
from rnnjax.analysis.success import Edge, critical_bracket, succeeded
from rnnjax.validate import fraction, one_of

__all__ = ["power_law"]


class Brackets(NamedTuple):
    """log10 of the rates a critical rate lies between, `[..., H]`; NaN where it is censored."""

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


def _narrowed(found: Brackets, observed: Brackets) -> Brackets:
    """Brackets `[R, H]` no wider than the observed ones `[H]`, cut on the side away from them.

    A bisection refines the grid only around the observed bracket. A resample that just leaves the
    refined rates must not land decades away because nothing was run in between.
    """
    width = observed.upper - observed.lower
    below = found.upper <= observed.lower
    above = found.lower >= observed.upper
    lower = np.where(below, np.fmax(found.lower, found.upper - width), found.lower)
    upper = np.where(above, np.fmin(found.upper, found.lower + width), found.upper)
    return Brackets(lower, upper, found.censored)


def _resampled_lines(
    success: np.ndarray,
    observed: Brackets,
    log_rates: np.ndarray,
    log_sizes: np.ndarray,
    level: float,
    edge: Edge,
    resampling: Resampling,
) -> Line:
    """Refits Eq. 6 with reweighted seeds, each rate drawn log-uniformly within its bracket."""
    rng = resampling.generator()
    weights = seed_weights(rng, resampling.resamples, success.shape[0], success.shape[-1])
    found = _brackets(_weighted_density(success, weights), log_rates, level, edge)
    found = _narrowed(found, observed)
    place = rng.uniform(size=found.lower.shape)
    return fit_lines(log_sizes, found.lower + place * (found.upper - found.lower))


def _interval(
    slopes: np.ndarray, log_sizes: np.ndarray, found: Brackets, confidence: float
) -> tuple[float, float]:
    """Percentiles of the refits, widened to every slope that no observed bracket excludes."""
    low, high = percentile_interval(slopes, confidence)
    least, most = consistent_slopes(log_sizes, found.lower, found.upper)
    return np.minimum(low, least), np.maximum(high, most)


_SCALARS = (
    "exponent",
    "intercept",
    "exponent_low",
    "exponent_high",
    "scatter_low",
    "scatter_high",
    "points_used",
    "points_censored",
    "hidden_min",
    "hidden_max",
)
_SAMPLES = ("exponent_samples", "intercept_samples")


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
    """Fits `log10 rate = intercept + exponent * log10 N` to the critical rates (Eq. 6).

    Only widths whose critical rate is bracketed by evaluated rates enter; censored ones are
    counted; `edge` is that of `critical_learning_rate`.
    `point` says where in its bracket a critical rate is put: `"middle"` (geometric) or
    `"lower"`, the paper's choice. With equal brackets both give the same exponent.

    The interval covers seeds and grid spacing: each resample reweights the seeds of each width
    (Bayesian bootstrap), finds the brackets anew, draws every rate log-uniformly within its
    bracket (taken no wider than the observed one), leaves out what became censored, and refits.
    Where the rate falls by few grid steps,
    places within the brackets go together and independent draws say too little: the interval is
    therefore widened to hold every slope whose line passes through all observed brackets. It is
    conditional on a power law; `scatter_low` and `scatter_high`, Student's interval from the
    residuals, show where that law fits badly.

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
    ordered = dataset.sortby(["hidden", "learning_rate"])
    log_rates = np.log10(ordered["learning_rate"].values.astype(float))
    log_sizes = np.log10(ordered["hidden"].values.astype(float))

    def fit(success: np.ndarray) -> tuple:
        """`success` `[H, L, S]` of one condition -> the scalars, then the samples."""
        found = _brackets(
            _weighted_density(success, np.ones((1, *success.shape[::2])))[0], log_rates, level, edge
        )
        position = found.lower if point == "lower" else (found.lower + found.upper) / 2
        used = ~np.isnan(position)
        line = fit_lines(log_sizes, position)
        lines = _resampled_lines(success, found, log_rates, log_sizes, level, edge, resampling)
        slopes = np.where(np.isnan(line.slope), np.nan, lines.slope)
        sizes = ordered["hidden"].values[used]
        return (
            line.slope,
            line.intercept,
            *_interval(slopes, log_sizes, found, resampling.confidence),
            *residual_interval(log_sizes, position, resampling.confidence),
            used.sum(),
            found.censored.sum(),
            sizes.min() if len(sizes) else np.nan,
            sizes.max() if len(sizes) else np.nan,
            slopes,
            np.where(np.isnan(slopes), np.nan, lines.intercept),
        )

    results = xr.apply_ufunc(
        fit,
        succeeded(ordered, accuracy, threshold),
        input_core_dims=[["hidden", "learning_rate", "seed"]],
        output_core_dims=[[]] * len(_SCALARS) + [["resample"]] * len(_SAMPLES),
        output_dtypes=[int if name.startswith("points") else float for name in _SCALARS + _SAMPLES],
        vectorize=True,
    )
    return xr.Dataset(dict(zip(_SCALARS + _SAMPLES, results, strict=True)))
