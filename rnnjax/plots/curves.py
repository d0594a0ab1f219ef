"""Learning curves of every width in one panel."""

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
    """`mean`, `low` and `high` over seeds of the smoothed loss, until the first seed stops.

    Runs that were not run are left out; a width without runs is NaN.
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
    """Draws mean and range of each width on log-log axes; returns whether there was any curve."""
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


def share_limits(panels: Sequence[Axes], which_axes: str = "xy") -> None:
    """Gives the x, the y or both axes of all panels the same limits and ticks of plain numbers."""
    for which in which_axes:
        limits = [axes.get_xlim() if which == "x" else axes.get_ylim() for axes in panels]
        for axes in panels:
            low, high = min(low for low, _ in limits), max(high for _, high in limits)
            margin = (high / low) ** 0.02  # a panel of a short span has hardly any of its own
            shared = low / margin, high * margin
            _ = axes.set_xlim(shared) if which == "x" else axes.set_ylim(shared)
            log_ticks(axes, which)


def width_legend(figure: Figure, sizes: np.ndarray, extra: Sequence[Line2D] = ()) -> None:
    """Adds one legend of the widths on the right of the figure."""
    handles = [
        Line2D([], [], color=color, lw=1.6, label=f"N = {size}")
        for size, color in zip(sizes, ordered_colors(len(sizes)), strict=True)
    ]
    figure.legend(
        handles=[*handles, *extra], loc="outside right center", fontsize=SMALL, frameon=False
    )
