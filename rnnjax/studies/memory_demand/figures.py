"""Memory demand: prediction error against the length of the window (paper: Fig. 9)."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from rnnjax.analysis import require
from rnnjax.plots.style import (
    CONDITION_LINES,
    SMALL,
    condition_look,
    log_ticks,
    name_value,
    new_figure,
    tidy,
)

__all__ = ["memory_curves"]


def memory_curves(dataset: xr.Dataset) -> Figure:
    """Held-out error against history length h, a panel per task, a line per kind of window.

    Line: mean over initializations; band: their range; ring: the demand, if known. `dataset` has
    `error` over `task`, `variant`, `history` and `initialization`, and `demand` over the first two:
    those of `memory_demand`, combined. Raises `ValueError` for missing variables or dimensions.
    """
    dims = ["task", "variant", "history", "initialization"]
    require(dataset, variables=["error", "demand"], dims=dims)
    tasks = dataset["task"].values.tolist()
    columns = min(2, len(tasks))
    figure, grid = new_figure(-(-len(tasks) // columns), columns, 3.4, 2.4)
    for axes in grid.flat[len(tasks) :]:
        axes.remove()
    for number, (task, axes) in enumerate(zip(tasks, grid.flat, strict=False)):
        tidy(axes, name_value(task))
        axes.set_xscale("log")
        axes.set_yscale("log")
        for place, variant in enumerate(dataset["variant"].values.tolist()):
            part = dataset.sel(task=task, variant=variant)
            error = part["error"].transpose("initialization", "history").values
            lengths, (color, marker, _) = part["history"].values, condition_look(place)
            axes.fill_between(lengths, error.min(0), error.max(0), color=color, alpha=0.15, lw=0)
            axes.plot(
                lengths, error.mean(0), marker, ls=CONDITION_LINES[place % len(CONDITION_LINES)],
                ms=3, color=color, lw=1.3, label=str(variant),
            )  # fmt: skip
            for at in np.flatnonzero(lengths == float(part["demand"])):  # none if it is NaN
                # A wider ring each, so that those of one point all show.
                axes.plot(
                    lengths[at], error.mean(0)[at], "o", ms=9 + 3.5 * place, mfc="none", mec=color,
                    mew=1.3, clip_on=False,
                )  # fmt: skip
        log_ticks(axes, "x")
        log_ticks(axes, "y")
        if number % columns == 0:
            axes.set_ylabel("held-out error")
        if number + columns >= len(tasks):
            axes.set_xlabel("history length h, steps")
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside lower center",
                  ncols=dataset.sizes["variant"], fontsize=SMALL, frameon=False)  # fmt: skip
    return figure
