"""Held-out losses of populations in training."""

import xarray as xr
from matplotlib.figure import Figure

from rnnjax.analysis import require
from rnnjax.plots.panels import note_empty
from rnnjax.plots.style import CONDITION_COLORS, GREY, log_ticks, name_value, new_figure, tidy

__all__ = ["threshold_curves"]


def threshold_curves(dataset: xr.Dataset) -> Figure:
    """Held-out loss at the end of every epoch, a line per network, a panel per condition.

    Dashed: the threshold. `dataset` has `held_out` over `condition`, `seed` and `epoch`, and along
    `condition` the coordinates `task`, `hidden` and `threshold`. Raises `ValueError` where one is
    missing.
    """
    require(dataset, variables=["held_out"], dims=["condition", "seed", "epoch"])
    count = dataset.sizes["condition"]
    columns = min(2, count)
    figure, grid = new_figure(-(-count // columns), columns, 3.4, 2.3)
    for axes in grid.flat[count:]:
        axes.remove()
    for number, axes in enumerate(grid.flat[:count]):
        part = dataset.isel(condition=number)
        tidy(axes, f"{name_value(part['task'].item())}, N = {part['hidden'].item()}")
        axes.set_yscale("log")
        for row in part["held_out"].transpose("seed", "epoch").values:
            axes.plot(part["epoch"], row, color=CONDITION_COLORS[0], lw=1.1, alpha=0.8)
        axes.axhline(float(part["threshold"]), color=GREY, lw=0.9, ls="--")
        reached = part["held_out"].notnull().any("seed")
        if not reached.any():  # all networks diverged in their first epoch
            note_empty(axes)
            continue
        axes.set_xlim(0, float(part["epoch"].where(reached).max()) + 1)
        log_ticks(axes, "y")
        if number % columns == 0:
            axes.set_ylabel("held-out loss")
        if number + columns >= count:
            axes.set_xlabel("epoch")
    return figure
