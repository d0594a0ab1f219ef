"""Figures of the population study: held-out losses in training, outputs in one trial."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnnjax.analysis import require
from rnnjax.plots.curves import share_limits
from rnnjax.plots.panels import note_empty
from rnnjax.plots.style import (
    CONDITION_COLORS,
    GREY,
    name_value,
    new_figure,
    ordered_colors,
    tidy,
)
from rnnjax.tasks import Trial

__all__ = ["answers", "threshold_curves"]


def threshold_curves(dataset: xr.Dataset) -> Figure:
    """Held-out loss at the end of every epoch, a line per network, a panel per condition.

    Dashed: the threshold. Panels of one task share their loss axis. `dataset` has `held_out` over
    `condition`, `seed` and `epoch`, and along `condition` the coordinates `task`, `hidden` and
    `threshold`. Raises `ValueError` where one is missing.
    """
    require(dataset, variables=["held_out"], dims=["condition", "seed", "epoch"])
    count = dataset.sizes["condition"]
    columns = min(2, count)
    figure, grid = new_figure(-(-count // columns), columns, 3.4, 2.3)
    for axes in grid.flat[count:]:
        axes.remove()
    drawn: dict[str, list[Axes]] = {}
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
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        drawn.setdefault(str(part["task"].item()), []).append(axes)
        if number % columns == 0:
            axes.set_ylabel("held-out loss")
        if number + columns >= count:
            axes.set_xlabel("epoch")
    for panels in drawn.values():
        share_limits(panels, "y")
    return figure


def answers(trial: Trial, outputs: np.ndarray, title: str = "") -> Figure:
    """One trial, [T, ...], and the outputs of every network of a population in it, [S, T, O].

    The first panel shows the inputs, then one panel per output; black: target, colors: networks.
    All are steps, since time is discrete.
    """
    count = outputs.shape[-1]
    figure, grid = new_figure(1 + count, 1, 5.0, 1.25)
    inputs, targets = np.asarray(trial.inputs), np.asarray(trial.targets)
    time = np.arange(len(targets))
    tidy(grid[0, 0], f"{title}: inputs" if title else "inputs")
    grid[0, 0].set_ylabel("input")
    for channel, color in enumerate(ordered_colors(inputs.shape[1])):
        grid[0, 0].step(time, inputs[:, channel], where="mid", color=color, lw=1.1)
    for channel, axes in enumerate(grid[1:, 0]):
        tidy(axes, "targets and outputs" if channel == 0 else "")
        axes.step(time, targets[:, channel], where="mid", color="black", lw=2.2)
        axes.set_ylabel(f"output {channel + 1}" if count > 1 else "output")
        for number, output in enumerate(outputs):
            color = CONDITION_COLORS[number % len(CONDITION_COLORS)]
            axes.step(time, output[:, channel], where="mid", color=color, lw=0.9)
    for axes in grid[:-1, 0]:
        axes.tick_params(labelbottom=False)
    for axes in grid[:, 0]:
        axes.margins(x=0.01)
    grid[-1, 0].set_xlabel("time step")
    return figure
