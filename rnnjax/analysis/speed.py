"""Larger networks learn slower: steps to the criterion against network size, at a fixed rate."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis.curves import WINDOW, steps_to_loss
from rnnjax.analysis.regression import (
    Resampling,
    fit_lines,
    percentile_interval,
    residual_interval,
    seed_weights,
)
from rnnjax.analysis.schema import finished, require
from rnnjax.analysis.success import ROUNDING
from rnnjax.validate import finite_positive, fraction

__all__ = [
    "arrival_scaling",
    "arrival_steps",
    "arrivals_of",
    "finite_steps",
    "loss_arrivals",
    "loss_scaling",
    "steps_scaling",
    "steps_to_learn",
]


def _quantile_steps(steps: np.ndarray, weights: np.ndarray, level: float) -> np.ndarray:
    """Step by which `level` of the weight has arrived; NaN where it never has.

    `steps` `[H, S]` holds infinity for runs that never arrive and NaN for runs not run; `weights`
    `[R, H, S]` -> `[R, H]`.
    """
    order = np.argsort(steps, axis=-1)
    ranked = np.take_along_axis(steps, order, -1)
    weights = np.take_along_axis(weights, order[None], -1) * ~np.isnan(ranked)
    total = weights.sum(-1, keepdims=True)
    arrived = np.cumsum(weights, -1) >= level * total - ROUNDING
    first = np.argmax(arrived, -1)
    reached = ranked[np.arange(len(ranked)), first]
    return np.where((total[..., 0] > 0) & np.isfinite(reached), reached, np.nan)


def _arrivals(dataset: xr.Dataset) -> xr.DataArray:
    """Steps to the criterion; infinite for a run that ended without it, NaN for one not run."""
    require(dataset, variables=["steps_to_criterion"], dims=["learning_rate", "seed"])
    return arrivals_of(dataset, dataset["steps_to_criterion"])


def arrivals_of(dataset: xr.Dataset, steps: xr.DataArray) -> xr.DataArray:
    """`steps`, NaN where a run never arrived: infinite if it ended so, NaN where it was not run."""
    return steps.astype(float).fillna(np.inf).where(finished(dataset))


def arrival_steps(arrivals: xr.DataArray, level: float) -> xr.DataArray:
    """Steps by which `level` of the seeds have arrived; NaN where they never do."""

    def quantile(steps: np.ndarray) -> np.ndarray:
        return _quantile_steps(steps[None], np.ones((1, 1, len(steps))), level)[0, 0]

    return xr.apply_ufunc(
        quantile, arrivals, input_core_dims=[["seed"]], vectorize=True, output_dtypes=[float]
    )


def steps_to_learn(dataset: xr.Dataset, level: float = 0.5) -> xr.DataArray:
    """Steps until `level` of the seeds has reached the criterion, at each rate.

    With `level=0.5` this is the median over seeds (the lower of the two middle ones), runs that
    never arrive counted as infinitely slow, so that it exists where at least half arrive; NaN
    elsewhere. Unit: optimizer steps. Raises `ValueError` without `steps_to_criterion`.
    """
    fraction("level", level, open_below=True)
    return arrival_steps(_arrivals(dataset), level).rename("steps_to_learn")


_SCALARS = (
    "exponent",
    "intercept",
    "exponent_low",
    "exponent_high",
    "scatter_low",
    "scatter_high",
    "points_used",
    "points_missing",
    "hidden_min",
    "hidden_max",
)


def steps_scaling(
    dataset: xr.Dataset,
    level: float = 0.5,
    *,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Fits `log10 steps = intercept + exponent * log10 N` at each fixed learning rate.

    `steps` is `steps_to_learn`: widths at which fewer than `level` of the seeds reached the
    criterion are left out and counted as missing. The interval is a Bayesian bootstrap over the
    seeds of each width; `scatter_low` and `scatter_high` come from the residuals of the line.

    Returns a Dataset over `learning_rate` and the remaining dimensions: `steps` (with `hidden`),
    `exponent`, `intercept`, `exponent_low`, `exponent_high`, `scatter_low`, `scatter_high`,
    `points_used`, `points_missing` (run, but too few arrived), `hidden_min`, `hidden_max`. Fewer
    than three widths give NaN exponents. Raises `ValueError` for missing dimensions or
    `steps_to_criterion`.
    """
    require(dataset, dims=["hidden"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    fit = arrival_scaling(_arrivals(ordered), level, resampling=resampling)
    return fit.drop_vars("exponent_samples")


def arrival_scaling(
    arrivals: xr.DataArray,
    level: float = 0.5,
    *,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """`steps_scaling` of any arrivals over `hidden` (rising), `seed` and other dimensions.

    `arrivals` holds infinity for runs that never arrive and NaN for runs not run. The seeds of a
    width carry the same weights in every condition, so that `exponent_samples`, along `resample`,
    can be subtracted between conditions whose seeds are paired.
    """
    fraction("level", level, open_below=True)
    sizes = arrivals["hidden"].values.astype(float)
    log_sizes = np.log10(sizes)
    rng = resampling.generator()
    weights = seed_weights(rng, resampling.resamples, len(sizes), arrivals.sizes["seed"])

    def fit(steps: np.ndarray) -> tuple:
        """`steps` `[H, S]` of one condition -> the scalars, then the samples."""
        middle = np.log10(_quantile_steps(steps, np.ones((1, *steps.shape)), level))[0]
        used, run = ~np.isnan(middle), ~np.isnan(steps).all(-1)
        line = fit_lines(log_sizes, middle)
        if np.isnan(line.slope):
            samples = np.full(resampling.resamples, np.nan)
        else:
            samples = fit_lines(log_sizes, np.log10(_quantile_steps(steps, weights, level))).slope
        return (
            line.slope,
            line.intercept,
            *percentile_interval(samples, resampling.confidence),
            *residual_interval(log_sizes, middle, resampling.confidence),
            used.sum(),
            (run & ~used).sum(),
            sizes[used].min() if used.any() else np.nan,
            sizes[used].max() if used.any() else np.nan,
            samples,
        )

    results = xr.apply_ufunc(
        fit,
        arrivals,
        input_core_dims=[["hidden", "seed"]],
        output_core_dims=[[]] * len(_SCALARS) + [["resample"]],
        output_dtypes=[int if name.startswith("points") else float for name in _SCALARS] + [float],
        vectorize=True,
    )
    names = (*_SCALARS, "exponent_samples")
    return xr.Dataset(
        {"steps": arrival_steps(arrivals, level), **dict(zip(names, results, strict=True))}
    )


def loss_arrivals(
    dataset: xr.Dataset, targets: Sequence[float], window: int, of_blind: bool
) -> xr.DataArray:
    """Steps to each target, along `target`; infinite for never, NaN for not run."""
    require(dataset, variables=["loss"], dims=["hidden", "learning_rate", "seed", "step"])
    values = [finite_positive("targets", target) for target in targets]
    if not values:
        raise ValueError("targets: expected at least one loss, got none")
    losses = xr.DataArray(values, dims="target", coords={"target": values})
    if of_blind:
        require(dataset, variables=["blind_loss"])
        losses = losses * dataset["blind_loss"]
    return arrivals_of(dataset, steps_to_loss(dataset, losses, window))


def loss_scaling(
    dataset: xr.Dataset,
    *,
    targets: Sequence[float],
    of_blind: bool = False,
    window: int = WINDOW,
    level: float = 0.5,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Fits `log10 steps = intercept + exponent * log10 N` to the steps to each target loss.

    As `steps_scaling`, of `steps_to_loss` instead of the steps to the criterion; `targets` are
    training losses, or with `of_blind` shares of each run's `blind_loss`. Returns its variables,
    also along `target`, and `run_steps`, the steps of every run (NaN if never).
    """
    require(dataset, dims=["hidden", "learning_rate"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    arrivals = loss_arrivals(ordered, targets, window, of_blind)
    fit = arrival_scaling(arrivals, level, resampling=resampling)
    return fit.drop_vars("exponent_samples").assign(run_steps=finite_steps(arrivals))


def finite_steps(arrivals: xr.DataArray) -> xr.DataArray:
    """`arrivals`, NaN for runs that never arrive."""
    return arrivals.where(np.isfinite(arrivals))
