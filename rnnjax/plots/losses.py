"""Loss against training step at each width's best learning rate."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import best_learning_rates, require
from rnnjax.plots.curves import share_limits
from rnnjax.plots.panels import condition_panels, note_empty
from rnnjax.plots.style import UNITS, legend_beside, ordered_colors, plain_numbers

__all__ = ["loss_curves"]

_BINS_PER_DECADE = 24

_WITHIN = ("hidden", "learning_rate", "seed", "step")


def _seed_curves(part: xr.Dataset, size: int, rate: float) -> np.ndarray:
    """Loss `[S, steps]` of the seeds that were run, NaN after the first of them stops."""
    loss = part["loss"].sel(hidden=size, learning_rate=rate).transpose("seed", "step").values
    loss = loss[~np.isnan(loss).all(-1)]
    return np.where(np.isnan(loss).any(0), np.nan, loss)


def _average_bins(steps: np.ndarray, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages of `curves` `[S, steps]` over bins of equal length in log step."""
    place = np.floor(np.log10(steps) * _BINS_PER_DECADE)
    _, first, count = np.unique(place, return_index=True, return_counts=True)
    means = np.add.reduceat(curves, first, axis=1) / count
    return np.add.reduceat(steps.astype(float), first) / count, means


def _draw_widths(axes: Axes, part: xr.Dataset, best: xr.Dataset) -> None:
    rates = plain_numbers([float(rate) for rate in part["learning_rate"]], 2)  # as in the tables
    known = dict(zip((float(rate) for rate in part["learning_rate"]), rates, strict=True))
    sizes = [int(size) for size in part["hidden"]]
    for size, color in zip(sizes, ordered_colors(len(sizes)), strict=True):
        choice = best.sel(hidden=size)
        rate = float(choice["rate"])
        if np.isnan(rate):
            continue
        curves = _seed_curves(part, size, rate)
        if not len(curves):
            continue
        trained = bool(choice["trained"])
        label = f"{size}: {known[rate]}" + ("" if trained else " (failed)")
        steps, curves = _average_bins(part["step"].values, curves)
        axes.plot(
            steps, curves.mean(0), color=color, lw=1.4, ls="-" if trained else ":", label=label
        )
        axes.fill_between(steps, curves.min(0), curves.max(0), color=color, alpha=0.13, lw=0)


def loss_curves(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
) -> Figure:
    """Training loss against step for each width at its best rate, averaged over seeds.

    One panel per condition (task, optimizer, ...), all with the same axes; line: mean over seeds,
    band: their range, both averaged over 24 bins per decade of steps, until the first seed stops.
    The legend states size and rate; dotted: fewer than `level` of the seeds learned at the best
    rate (see `best_learning_rates`). Raises `ValueError` for missing variables.
    """
    require(dataset, variables=["loss", "final_loss"], dims=[*_WITHIN])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    best = best_learning_rates(ordered, level, accuracy, threshold)
    figure, panels = condition_panels(ordered, _WITHIN, width=4.2, height=2.8)
    drawn = []
    for panel in panels:
        here = {name: panel.labels[name] for name in panel.labels if name in best.dims}
        panel.axes.set_xscale("log")
        panel.axes.set_yscale("log")
        _draw_widths(panel.axes, panel.data, best.sel(here))
        if panel.axes.lines:
            drawn.append(panel.axes)
            legend_beside(panel.axes, "N: rate")
        else:
            note_empty(panel.axes)
        panel.axes.set_xlabel(UNITS["step"] if panel.last_row else "")
        panel.axes.set_ylabel("training loss" if panel.first_column else "")
    share_limits(drawn)
    return figure
