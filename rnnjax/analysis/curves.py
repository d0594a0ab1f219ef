"""Learning curves: smoothed losses, steps to a target loss, comparison between widths.

A moving average delays a curve that falls within its window: a loss appears to be reached late, by
the same number of steps at every width, which flattens the growth of the steps with width. Averages
are therefore assigned to the middle of the window, and the window is short at the first steps.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis.regression import Resampling, percentile_interval, seed_weights
from rnnjax.analysis.schema import finished, require
from rnnjax.validate import positive_integer

__all__ = ["curve_distance", "loss_ratio", "smoothed_loss", "steps_to_loss"]

WINDOW = 50
"""Length of the moving average in training steps."""

_PARTS = (1 / 16, 1 / 4, 1.0)
"""Fractions of a run at which curves are compared by default."""


def _windows(steps: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Middles `[step]` and weights `[step, step]` of the moving averages of a thinned loss.

    A recorded loss is the mean over the steps since the previous recorded one. Its window ends with
    it and covers `window` steps, or a quarter of the steps taken if these are fewer, but at least
    all steps since the previous recorded one.
    """
    edges = np.concatenate([[0], steps])
    lengths = np.maximum(np.minimum(window, -(-steps // 4)), np.diff(edges))
    starts = (steps - lengths)[:, None]
    shared = np.minimum(steps[:, None], edges[1:]) - np.maximum(starts, edges[:-1])
    return steps - (lengths - 1) / 2, np.maximum(shared, 0) / lengths[:, None]


def smoothed_loss(dataset: xr.Dataset, window: int = WINDOW) -> xr.DataArray:
    """Moving average of the training loss over `window` steps.

    During the first `4 * window` steps it covers a quarter of the steps taken. The coordinate
    `step` is the middle of each window; the curve ends half a window before the run. NaN where a
    window contains a loss that is missing or not finite. Raises `ValueError` without `loss` and its
    dimension `step`.
    """
    require(dataset, variables=["loss"], dims=["step"])
    middles, weights = _windows(dataset["step"].values, positive_integer("window", window))
    loss = dataset["loss"].transpose(..., "step")
    known = np.isfinite(loss.values)
    means = np.where(known, loss.values, 0.0).astype(float) @ weights.T
    unknown = (~known).astype(float) @ weights.T > 0
    return loss.copy(data=np.where(unknown, np.nan, means)).assign_coords(step=middles)


def _first_below(steps: np.ndarray, curve: np.ndarray, loss: float) -> float:
    """Where `curve` first falls below `loss`, interpolated from the point before; NaN if never."""
    below = np.flatnonzero(curve < loss)
    if not len(below):
        return np.nan
    after = below[0]
    before = max(after - 1, 0)
    if np.isnan(curve[before]) or before == after:
        return float(steps[after])
    part = (curve[before] - loss) / (curve[before] - curve[after])
    return float(steps[before] + part * (steps[after] - steps[before]))


def steps_to_loss(
    dataset: xr.Dataset, loss: float | xr.DataArray, window: int = WINDOW
) -> xr.DataArray:
    """The first step at which a run's smoothed training loss lies below `loss`; NaN if never.

    The smoothing is that of `smoothed_loss`, interpolated between recorded steps. `loss` may differ
    between runs (for example a share of `blind_loss`) and may have dimensions of its own.
    """
    curves = smoothed_loss(dataset, window)

    def first(curve: np.ndarray, target: float) -> float:
        return _first_below(curves["step"].values, curve, target)

    return xr.apply_ufunc(
        first,
        curves,
        loss,
        input_core_dims=[["step"], []],
        vectorize=True,
        output_dtypes=[float],
    ).rename("steps_to_loss")


def _log_losses(dataset: xr.Dataset, steps: Sequence[float] | None, window: int) -> xr.DataArray:
    """log10 of the smoothed loss nearest to `steps`; NaN where a run is missing or has stopped."""
    require(dataset, dims=["hidden", "seed"])
    curves = smoothed_loss(dataset.sortby("hidden"), window)
    middles = curves["step"].values
    wanted = np.array(_PARTS) * middles[-1] if steps is None else np.asarray(steps, float)
    near = np.unique(np.abs(middles - wanted[:, None]).argmin(-1))
    chosen = curves.isel(step=near)
    with np.errstate(divide="ignore"):
        return chosen.copy(data=np.log10(chosen.values))


def _weighted_ratios(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """log10 of each width's mean loss over that of the first: `[H, S]`, `[R, H, S]` -> `[R, H]`.

    The means are weighted and geometric; runs that were not run are left out.
    """
    run = ~np.isnan(values)
    total = (weights * run).sum(-1)
    sums = (weights * np.where(run, values, 0.0)).sum(-1)
    means = np.where(total > 0, sums / np.where(total > 0, total, 1.0), np.nan)
    return means - means[:, :1]


def loss_ratio(
    dataset: xr.Dataset,
    steps: Sequence[float] | None = None,
    *,
    window: int = WINDOW,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Smoothed training loss of each width divided by that of the smallest, at fixed steps.

    The steps are the recorded ones nearest to `steps`, by default 1/16, 1/4 and the end of the run.
    Returns a Dataset over `hidden`, `step` and the remaining dimensions: `ratio` of the geometric
    means over seeds, with `ratio_low` and `ratio_high` from a Bayesian bootstrap over the seeds of
    each width. NaN where a run of that width, or of the smallest, has stopped by then.
    """
    rng = resampling.generator()
    values = _log_losses(dataset, steps, window)
    stopped = (values.isnull() & finished(dataset.sortby("hidden"))).any("seed")
    shape = (values.sizes["hidden"], values.sizes["seed"])
    weights = seed_weights(rng, resampling.resamples, *shape)

    def fit(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        samples = _weighted_ratios(losses, weights).T
        ends = np.array([percentile_interval(row, resampling.confidence) for row in samples])
        middle = _weighted_ratios(losses, np.ones((1, *shape)))[0]
        return middle, ends

    middle, ends = xr.apply_ufunc(
        fit,
        values.where(~stopped),
        input_core_dims=[["hidden", "seed"]],
        output_core_dims=[["hidden"], ["hidden", "end"]],
        vectorize=True,
        output_dtypes=[float, float],
    )
    parts = {"ratio": middle, "ratio_low": ends.isel(end=0), "ratio_high": ends.isel(end=1)}
    return xr.Dataset({name: 10**part for name, part in parts.items()})


def _distance(values: np.ndarray) -> np.ndarray:
    """Largest distance of a width's mean from that of the first: `[..., H, S]` -> `[...]`."""
    means = values.mean(-1)
    return np.abs(means - means[..., :1]).max(-1)


def curve_distance(
    dataset: xr.Dataset,
    steps: Sequence[float] | None = None,
    *,
    window: int = WINDOW,
    resampling: Resampling = Resampling(),
) -> xr.Dataset:
    """Factor by which the learning curves of different widths differ, and that expected by chance.

    The steps are the recorded ones nearest to `steps`, by default 1/16, 1/4 and the end of the run.
    Returns a Dataset over `step` and the remaining dimensions: `factor`, the largest ratio of any
    width's loss to that of the smallest width, or its inverse if larger (geometric means over
    seeds); `chance`, the quantile `confidence` of the factor when widths are permuted at random
    within each seed; `seed_spread`, the standard deviation of log10 loss over seeds, pooled over
    widths; `sizes`, the number of widths. Seeds without a finite loss at each of these widths are
    left out. Fewer than two widths give NaN; `chance` and `seed_spread` need two seeds.
    """
    rng = resampling.generator()

    def fit(losses: np.ndarray) -> tuple:
        """`losses` `[H, S]` at one step."""
        known = losses[~np.isnan(losses).all(-1)]
        known = known[:, ~np.isnan(known).any(0)]
        if known.shape[0] < 2 or not known.shape[1]:
            return np.nan, np.nan, np.nan, len(known)
        factor = 10 ** _distance(known)
        if known.shape[1] < 2:
            return factor, np.nan, np.nan, len(known)
        shuffled = rng.permuted(
            np.broadcast_to(known, (resampling.resamples, *known.shape)), axis=1
        )
        chance = 10 ** np.quantile(_distance(shuffled), resampling.confidence)
        return factor, chance, np.sqrt(known.var(-1, ddof=1).mean()), len(known)

    results = xr.apply_ufunc(
        fit,
        _log_losses(dataset, steps, window),
        input_core_dims=[["hidden", "seed"]],
        output_core_dims=[[]] * 4,
        vectorize=True,
        output_dtypes=[float, float, float, int],
    )
    return xr.Dataset(dict(zip(("factor", "chance", "seed_spread", "sizes"), results, strict=True)))
