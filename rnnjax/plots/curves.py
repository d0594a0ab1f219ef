"""Learning curves of every width in one panel, and grids of such panels."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnjax.analysis import finished, smoothed_loss
from rnnjax.plots.panels import note_empty
from rnnjax.plots.style import SMALL, log_ticks, ordered_colors

__all__ = ["draw_widths", "share_limits", "width_curves", "width_legend"]


def width_curves(dataset: xr.Dataset, window: int) -> xr.Dataset:
    """`mean`, `low` and `high` over seeds of the smoothed loss, up to where the first one stopped.

    Runs not run do not enter; a width without any is NaN.
    """
    curves = smoothed_loss(dataset, window)
    run = finished(dataset) | curves.notnull().any("step")
    whole = (curves.notnull() | ~run).all("seed")
    return xr.Dataset(
        {
            "mean": curves.mean("seed").where(whole),
            "low": curves.min("seed").where(whole),
            "high": curves.max("seed").where(whole),
        }
    )


def draw_widths(axes: Axes, curves: xr.Dataset) -> bool:
    """Mean and range of each width on log-log axes; False where there was nothing to draw."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = curves["hidden"].values
    for size, color in zip(sizes, ordered_colors(len(sizes)), strict=True):
        curve = curves.sel(hidden=size)
        if curve["mean"].isnull().all():
            continue
        steps = curve["step"].values
        axes.plot(steps, curve["mean"].values, color=color, lw=1.4)
        axes.fill_between(
            steps, curve["low"].values, curve["high"].values, color=color, alpha=0.13, lw=0
        )
    if not axes.lines:
        note_empty(axes)
    return bool(axes.lines)


def share_limits(panels: Sequence[Axes]) -> None:
    """The same axes for all panels, so that they can be compared by eye, with plain numbers."""
    for which in ("x", "y"):
        limits = [axes.get_xlim() if which == "x" else axes.get_ylim() for axes in panels]
        for axes in panels:
            shared = min(low for low, _ in limits), max(high for _, high in limits)
            _ = axes.set_xlim(shared) if which == "x" else axes.set_ylim(shared)
            log_ticks(axes, which)


def width_legend(figure: Figure, sizes: np.ndarray, extra: Sequence[Line2D] = ()) -> None:
    """One legend of the widths for the whole figure, on its right."""
    handles = [
        Line2D([], [], color=color, lw=1.6, label=f"N = {size}")
        for size, color in zip(sizes, ordered_colors(len(sizes)), strict=True)
    ]
    figure.legend(
        handles=[*handles, *extra], loc="outside right center", fontsize=SMALL, frameon=False
    )
