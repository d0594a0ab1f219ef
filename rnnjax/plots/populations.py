"""Outputs of the networks of a population in one trial."""

import numpy as np
from matplotlib.figure import Figure

from rnnjax.plots.style import CONDITION_COLORS, new_figure, ordered_colors, tidy
from rnnjax.tasks import Trial

__all__ = ["answers"]


def answers(trial: Trial, outputs: np.ndarray, title: str = "") -> Figure:
    """One trial, [T, ...], and the outputs of every network of a population in it, [S, T, O].

    The first panel shows the inputs, then one panel per output; black: target, colors: networks.
    """
    count = outputs.shape[-1]
    figure, grid = new_figure(1 + count, 1, 5.0, 1.25)
    inputs, targets = np.asarray(trial.inputs), np.asarray(trial.targets)
    time = np.arange(len(targets))
    tidy(grid[0, 0], f"{title}: inputs" if title else "inputs")
    for channel, color in enumerate(ordered_colors(inputs.shape[1])):
        grid[0, 0].step(time, inputs[:, channel], where="mid", color=color, lw=1.1)
    for channel, axes in enumerate(grid[1:, 0]):
        tidy(axes, "targets and outputs" if channel == 0 else "")
        axes.plot(time, targets[:, channel], color="black", lw=2.2)
        for number, output in enumerate(outputs):
            color = CONDITION_COLORS[number % len(CONDITION_COLORS)]
            axes.plot(time, output[:, channel], color=color, lw=0.9)
    for axes in grid[:-1, 0]:
        axes.tick_params(labelbottom=False)
    for axes in grid[:, 0]:
        axes.margins(x=0.01)
    grid[-1, 0].set_xlabel("time step")
    return figure
