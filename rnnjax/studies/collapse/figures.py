"""Steps to the criterion against network size, at fixed learning rates."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import require, steps_scaling
from rnnjax.plots.curves import share_limits
from rnnjax.plots.panels import condition_panels, note_empty
from rnnjax.plots.style import (
    UNITS,
    legend_beside,
    ordered_colors,
    plain_numbers,
    size_ticks,
    slope_text,
)

__all__ = ["MOST_RATES", "steps_to_criterion"]

MOST_RATES = 9
"""With more rates than this, only those with an exponent are drawn."""

_WITHIN = ("hidden", "learning_rate", "seed", "step", "resample")


def _label(rate: str, line: xr.Dataset) -> str:
    return rate if np.isnan(float(line["exponent"])) else f"{rate}: {slope_text(line)}"


def _draw_rates(axes: Axes, part: xr.Dataset) -> None:
    sizes, rates = part["hidden"].values, part["learning_rate"].values
    texts = plain_numbers([float(rate) for rate in rates], 2)  # as in the tables
    names = dict(zip(rates, texts, strict=True))
    if len(rates) > MOST_RATES:
        part = part.sel(learning_rate=part["exponent"].notnull())
        rates = part["learning_rate"].values
    for rate, color in zip(rates, ordered_colors(len(rates)), strict=True):
        line = part.sel(learning_rate=rate)
        steps = line["steps"].values
        if np.isnan(steps).all():
            continue
        axes.plot(sizes, steps, "o", ms=4, color=color)
        fitted = sizes[~np.isnan(steps)]
        power = 10 ** (float(line["intercept"]) + float(line["exponent"]) * np.log10(fitted))
        axes.plot(fitted, power, color=color, lw=1.3)
        shown = "-" if np.isfinite(power).all() else "none"
        axes.plot([], [], "o", ls=shown, ms=4, color=color, lw=1.3, label=_label(names[rate], line))


def steps_to_criterion(
    dataset: xr.Dataset, *, level: float = 0.5, fit: xr.Dataset | None = None
) -> Figure:
    """Steps until `level` of the seeds reached the criterion against size, a line per rate.

    One panel per condition, all of one step axis; the legend gives the exponent of each rate with
    its 95% interval (no line below three sizes). Of more than nine rates only those with an
    exponent are drawn. `fit`: a `steps_scaling` of the dataset, computed
    if not given. Raises `ValueError` for missing variables or dimensions.
    """
    require(dataset, variables=["steps_to_criterion"], dims=["hidden", "learning_rate", "seed"])
    fit = steps_scaling(dataset, level) if fit is None else fit
    figure, panels = condition_panels(fit, _WITHIN, width=4.6, height=2.8)
    drawn = []
    for panel in panels:
        panel.axes.set_xscale("log")
        panel.axes.set_yscale("log")
        _draw_rates(panel.axes, panel.data)
        panel.axes.set_xlabel(UNITS["hidden"] if panel.last_row else "")
        panel.axes.set_ylabel("steps to criterion" if panel.first_column else "")
        if not panel.axes.lines:
            some = bool(panel.data["steps"].notnull().any())
            note_empty(panel.axes, "no exponent at any rate" if some else "no data")
            continue
        drawn.append(panel.axes)
        size_ticks(panel.axes, [int(size) for size in fit["hidden"]])
        legend_beside(panel.axes, "rate: exponent")
    share_limits(drawn, "y")
    return figure
