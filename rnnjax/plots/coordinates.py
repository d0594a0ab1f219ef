"""Coordinate check: size of activations and of their changes in training against N."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import iterate_conditions, require
from rnnjax.plots.panels import note_empty
from rnnjax.plots.series import legends_below
from rnnjax.plots.style import (
    CONDITION_LINES,
    UNITS,
    Look,
    condition_look,
    log_ticks,
    name_condition,
    new_figure,
    signed,
    size_ticks,
    tidy,
)
from rnnjax.training import seeds_left_out

__all__ = ["coordinate_check"]

_LEAST_SPAN = 10.0
"""Least ratio of the axis limits, so that small variations look small."""

_WITHIN = ("hidden", "seed", "step")
_TITLES = {
    "activation": "Activation",
    "activation_change": "Change of activation",
    "output_change": "Change of output",
}


def _label(labels: dict[str, object], part: xr.Dataset, name: str) -> str:
    title, slope = name_condition(labels), float(part[f"{name}_slope"])
    if np.isnan(slope):
        return f"{title}: no slope".lstrip(": ")
    error = float(part[f"{name}_slope_error"])
    spread = "" if np.isnan(error) else f" ± {error:.2f}"
    left_out = seeds_left_out(part, name)
    without = f", without {left_out} of {part.sizes['seed']} seeds" if left_out else ""
    return f"{title}: slope {signed(slope)}{spread}{without}".lstrip(": ")


def _draw_rule(axes: Axes, values: xr.DataArray, look: Look, label: str) -> bool:
    """Draws the geometric mean over seeds: thin before the last step, thick with the range at it.

    Values that are not positive and finite are left out: a change at step 0, or a diverged run. No
    thick line where all seeds have diverged by the last step. Returns whether any values remain.
    """
    end, color = values["step"].values[-1], look.color
    values = values.where(np.isfinite(values) & (values > 0)).dropna("step", how="all")
    values = values.dropna("hidden", how="all")
    if not values.size:
        return False
    sizes, means = values["hidden"].values, 10 ** xr.apply_ufunc(np.log10, values).mean("seed")
    for step in values["step"].values:
        if step != end:
            axes.plot(sizes, means.sel(step=step), color=color, lw=0.6, alpha=0.4)
    thick = {
        "color": color, "lw": 1.6, "ls": look.line, "marker": look.marker, "ms": 3.5,
        "label": label,
    }  # fmt: skip
    if values["step"].values[-1] != end:
        axes.plot([], [], **thick)
        return True
    axes.plot(sizes, means.sel(step=end), **thick)
    last = values.sel(step=end)
    axes.fill_between(
        sizes, last.min("seed").values, last.max("seed").values, color=color, alpha=0.15, lw=0
    )
    return True


def _widen(axes: Axes) -> None:
    low, high = axes.get_ylim()
    factor = np.sqrt(max(1.0, _LEAST_SPAN * low / high))
    axes.set_ylim(low / factor, high * factor)


def coordinate_check(dataset: xr.Dataset) -> Figure:
    """RMS of activations and of their changes against network size, as in a muP coordinate check.

    `dataset` is that of `rnnjax.training.coordinate_check`, over `hidden`, `seed`, `step` and any
    conditions (a width rule, ...), which have a color each. One panel per variable, on log-log
    axes. Thick: last training step, geometric mean, with the range, over the seeds that have not
    diverged at that size; thin: earlier steps. The legend states the slope over N at the last step,
    0 where coordinates keep their size, its standard error, and how many seeds it leaves out at all
    sizes because a network diverged. Raises `ValueError` for missing variables.
    """
    names = [f"{name}{end}" for name in _TITLES for end in ("", "_slope", "_slope_error")]
    require(dataset, variables=names, dims=_WITHIN)
    ordered = dataset.sortby(["hidden", "step"])
    figure, grid = new_figure(1, len(_TITLES), 3.4, 2.9)
    drawn = []
    for (name, title), axes in zip(_TITLES.items(), grid[0], strict=True):
        tidy(axes, title)
        axes.set_xscale("log")
        axes.set_yscale("log")
        found = [
            _draw_rule(
                axes,
                part[name],
                # Dashes of its own, so that a rule shows under one of the same values.
                condition_look(number)._replace(
                    line=CONDITION_LINES[number % len(CONDITION_LINES)]
                ),
                _label(labels, part, name),
            )
            for number, (labels, part) in enumerate(iterate_conditions(ordered, _WITHIN))
        ]
        if not any(found):
            note_empty(axes)
            continue
        drawn.append(axes)
        size_ticks(axes, [int(size) for size in ordered["hidden"]])
        _widen(axes)
        log_ticks(axes, "y")
        axes.set_xlabel(UNITS["hidden"])
        axes.set_ylabel("root mean square" if axes is grid[0][0] else "")
    legends_below(figure, drawn)
    return figure
