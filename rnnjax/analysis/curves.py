"""Learning curves: smoothed losses and steps to a target loss.

A moving average delays a curve that falls within its window: a loss appears to be reached late, by
the same number of steps at every width, which flattens the growth of the steps with width. Averages
are therefore assigned to the middle of the window, and the window is short at the first steps.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis.schema import require
from rnnjax.validate import nonnegative, positive_integer

__all__ = ["log_losses", "smoothed_loss", "steps_to_loss"]

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
    between runs (for example a share of `blind_loss`) and may have dimensions of its own; NaN where
    it is NaN. Raises `ValueError` for a loss that is not a number of at least 0.
    """
    if not isinstance(loss, xr.DataArray):
        nonnegative("loss", loss)
    elif loss.dtype.kind not in "iuf" or bool((loss < 0).any()):
        raise ValueError("loss: expected numbers of at least 0, got others")
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


def log_losses(dataset: xr.Dataset, steps: Sequence[float] | None, window: int) -> xr.DataArray:
    """log10 of the smoothed loss nearest to `steps`; NaN where a run is missing or has stopped.

    By default the steps are 1/16, 1/4 and the end of the run. Raises `ValueError` for missing
    variables or dimensions.
    """
    require(dataset, dims=["hidden", "seed"])
    curves = smoothed_loss(dataset.sortby("hidden"), window)
    middles = curves["step"].values
    wanted = np.array(_PARTS) * middles[-1] if steps is None else np.asarray(steps, float)
    near = np.unique(np.abs(middles - wanted[:, None]).argmin(-1))
    chosen = curves.isel(step=near)
    with np.errstate(divide="ignore"):
        return chosen.copy(data=np.log10(chosen.values))
