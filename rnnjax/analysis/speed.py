"""Training steps to the criterion, or to a target loss, against network size at a fixed rate.

Throughout, the steps of a run are infinite where it ended without reaching its target, and NaN
where it was not run.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.analysis.curves import steps_to_loss
from rnnjax.analysis.regression import (
    LINE_VARIABLES,
    Line,
    Resampling,
    fit_conditions,
    fit_lines,
    line_summary,
    seed_weights,
    seeds_vary,
)
from rnnjax.analysis.schema import finished, require
from rnnjax.analysis.success import ROUNDING
from rnnjax.validate import finite_positive, fraction, instance_of

__all__ = [
    "finite_steps",
    "fit_steps",
    "mark_failures",
    "quantile_steps",
    "steps_scaling",
    "steps_to_learn",
    "target_steps",
]


def _weighted_quantiles(steps: np.ndarray, weights: np.ndarray, level: float) -> np.ndarray:
    """Step by which `level` of the weight has reached the target; NaN where it never does.

    `steps` `[H, S]` and `weights` `[R, H, S]` -> `[R, H]`.
    """
    order = np.argsort(steps, axis=-1)
    ranked = np.take_along_axis(steps, order, -1)
    weights = np.take_along_axis(weights, order[None], -1) * ~np.isnan(ranked)
    total = weights.sum(-1, keepdims=True)
    enough = np.cumsum(weights, -1) >= level * total - ROUNDING
    first = np.argmax(enough, -1)
    found = ranked[np.arange(len(ranked)), first]
    return np.where((total[..., 0] > 0) & np.isfinite(found), found, np.nan)


def _criterion_steps(dataset: xr.Dataset) -> xr.DataArray:
    """Steps of every run to the criterion."""
    require(dataset, variables=["steps_to_criterion"], dims=["learning_rate", "seed"])
    return mark_failures(dataset, dataset["steps_to_criterion"])


def mark_failures(dataset: xr.Dataset, steps: xr.DataArray) -> xr.DataArray:
    """`steps` with its NaN entries replaced by infinity where the run has ended."""
    return steps.astype(float).fillna(np.inf).where(finished(dataset))


def quantile_steps(run_steps: xr.DataArray, level: float) -> xr.DataArray:
    """Steps by which `level` of the seeds have reached the target; NaN where they never do."""

    def quantile(steps: np.ndarray) -> np.ndarray:
        return _weighted_quantiles(steps[None], np.ones((1, 1, len(steps))), level)[0, 0]

    return xr.apply_ufunc(
        quantile, run_steps, input_core_dims=[["seed"]], vectorize=True, output_dtypes=[float]
    )


def steps_to_learn(dataset: xr.Dataset, level: float = 0.5) -> xr.DataArray:
    """Steps by which `level` of the seeds have reached the criterion, at each rate.

    With `level=0.5` this is the median over seeds (the lower of the two middle ones), where runs
    that never reach the criterion count as infinitely slow; NaN where fewer than `level` of the
    seeds reach it. Unit: optimizer steps. Raises `ValueError` without `steps_to_criterion`.
    """
    fraction("level", level, open_below=True)
    return quantile_steps(_criterion_steps(dataset), level).rename("steps_to_learn")


_SCALARS = (*LINE_VARIABLES, "points_used", "points_missing", "hidden_min", "hidden_max")


def steps_scaling(
    dataset: xr.Dataset,
    level: float = 0.5,
    *,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Fits `log10 steps = intercept + exponent * log10 N` at each fixed learning rate.

    `steps` is `steps_to_learn`: widths at which fewer than `level` of the seeds reach the criterion
    are left out and counted as missing: where these are the large widths, which are the slow ones,
    the exponent is biased toward 0. The interval is a Bayesian bootstrap over the seeds of each
    width, NaN where a width has one seed; `scatter_low` and `scatter_high` come from the residuals
    of the line.

    Returns a Dataset over `learning_rate` and the remaining dimensions: `steps` (with `hidden`),
    `exponent`, `intercept`, `exponent_low`, `exponent_high`, `scatter_low`, `scatter_high`,
    `points_used`, `points_missing` (run, but too few seeds reached the criterion), `hidden_min`,
    `hidden_max`. Fewer than three widths give NaN exponents. Raises `ValueError` for missing
    dimensions or `steps_to_criterion`.
    """
    require(dataset, variables=["steps_to_criterion"], dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    fit = fit_steps(_criterion_steps(ordered), level, resampling=resampling)
    return fit.drop_vars("exponent_samples")


def fit_steps(
    run_steps: xr.DataArray,
    level: float = 0.5,
    *,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """`steps_scaling` of the steps of runs over `hidden` (rising), `seed` and other dimensions.

    The seeds of a width have the same weights in every condition in which all of them finished, so
    that `exponent_samples`, along `resample`, can be subtracted between conditions whose seeds are
    paired.
    """
    fraction("level", level, open_below=True)
    instance_of("resampling", resampling, Resampling)
    sizes = run_steps["hidden"].values.astype(float)
    log_sizes = np.log10(sizes)

    def fit(steps: np.ndarray) -> dict[str, Any]:
        """`steps` `[H, S]` of one condition -> its variables."""
        middle = np.log10(_weighted_quantiles(steps, np.ones((1, *steps.shape)), level))[0]
        run = ~np.isnan(steps)
        none = np.isnan(fit_lines(log_sizes, middle).slope)
        if none or not seeds_vary(run, ~np.isnan(middle)):
            refits = Line(*np.full((2, resampling.resamples), np.nan))
        else:
            weights = seed_weights(resampling.generator(), resampling.resamples, run)
            refits = fit_lines(log_sizes, np.log10(_weighted_quantiles(steps, weights, level)))
        summary = line_summary(sizes, middle, refits, resampling.confidence)
        return {**summary, "points_missing": (run.any(-1) & np.isnan(middle)).sum()}

    found = fit_conditions(
        fit, [run_steps], [["hidden", "seed"]], scalars=_SCALARS, samples=["exponent_samples"]
    )
    return xr.Dataset({"steps": quantile_steps(run_steps, level), **found.data_vars})


def target_steps(
    dataset: xr.Dataset, targets: Sequence[float], window: int, of_blind: bool
) -> xr.DataArray:
    """Steps of every run to each target loss, along `target`."""
    require(dataset, variables=["loss"], dims=["hidden", "learning_rate", "seed", "step"])
    values = [finite_positive("targets", target) for target in targets]
    if not values:
        raise ValueError("targets: expected at least one loss, got none")
    losses = xr.DataArray(values, dims="target", coords={"target": values})
    if of_blind:
        require(dataset, variables=["blind_loss"])
        losses = losses * dataset["blind_loss"]
    return mark_failures(dataset, steps_to_loss(dataset, losses, window))


def finite_steps(run_steps: xr.DataArray) -> xr.DataArray:
    """`run_steps`, NaN for runs that never reach their target."""
    return run_steps.where(np.isfinite(run_steps))
