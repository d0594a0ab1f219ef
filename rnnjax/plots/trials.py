"""Inputs and targets of one trial of a task."""

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.devices import fixed_draws
from rnnjax.plots.style import GREY, name_value, new_figure, ordered_colors, tidy
from rnnjax.tasks import Task
from rnnjax.validate import instance_of
from rnnjax.validate import seed as checked_seed

__all__ = ["trial"]


def _draw_channels(axes: Axes, values: np.ndarray) -> None:
    """Draws each channel of `values` `[T, C]` as steps, since time is discrete."""
    for channel, color in enumerate(ordered_colors(values.shape[1])):
        axes.step(np.arange(len(values)), values[:, channel], where="mid", color=color, lw=1.2)
    axes.margins(x=0.01, y=0.1)


@fixed_draws()
def trial(task: Task, *, seed: int = 0) -> Figure:
    """Inputs and targets of one trial of `task` over time, a line per channel.

    The response period common to all outputs is shaded, unless it is the whole trial. Raises
    `ValueError` for an argument that is not a task, or a negative seed.
    """
    drawn = instance_of("task", task, Task).sample(jax.random.key(checked_seed("seed", seed)))
    inputs, targets, mask = (np.asarray(part) for part in drawn)
    figure, grid = new_figure(2, 1, width=5.0, height=1.6)
    above, below = grid[:, 0]
    _draw_channels(above, inputs)
    tidy(above, f"{name_value(task.name)}: inputs")
    _draw_channels(below, targets)
    tidy(below, "Targets")
    response = np.all(mask > 0, axis=1)
    if not response.all():
        changes = np.flatnonzero(np.diff(np.pad(response.astype(int), 1)))
        for start, end in changes.reshape(-1, 2):  # a step lasts from half before to half after
            below.axvspan(start - 0.5, end - 0.5, color=GREY, alpha=0.15, lw=0)
    below.set_xlabel("time step")
    above.tick_params(labelbottom=False)
    return figure
