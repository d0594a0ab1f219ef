"""Degeneracy against the levels of a factor, and charts of distances over components and delays."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from rnnjax.analysis import (
    MEASURES,
    Comparison,
    at_shared_places,
    chart_trends,
    interval,
    measure_interval,
)
from rnnjax.plots.panels import (
    comparison_columns,
    measure_label,
    note_empty,
    require_some,
)
from rnnjax.plots.style import (
    CONDITION_COLORS,
    SMALL,
    contrast_color,
    legend_beside,
    ordered_colors,
)
from rnnjax.training import Status
from rnnjax.validate import one_of

__all__ = ["degeneracy_levels", "dynamics_charts", "stretched_losses"]

_LEFT_OUT = "#d9d9d9"
_SLOPES = colormaps["RdBu_r"]


def degeneracy_levels(
    comparisons: Sequence[Comparison], measures: Sequence[str] = ("dsa", "pif", "ood_spread")
) -> Figure:
    """Measures (`rnnjax.analysis.MEASURES`) at every level with 95% intervals over networks.

    A measure that is a standard deviation (sd) is shown as the robust one, whose trends are tested.
    A column per comparison, at most four side by side; a row per measure. Raises `ValueError`
    without a comparison, or for an unknown measure.
    """
    found = require_some(comparisons)
    for measure in measures:
        one_of("measures", measure, MEASURES)
    figure, columns = comparison_columns(found, len(measures), 2.6, 1.9)
    for column in columns:
        levels = column.comparison.levels
        conditions = column.comparison.data
        if "dsa_chart" in measures:
            conditions = at_shared_places(conditions)
        places = np.arange(len(levels))
        for number, (axes, measure) in enumerate(zip(column.panels, measures, strict=True)):
            if column.leftmost:
                axes.set_ylabel(measure_label(measure))
            intervals = [measure_interval(data, measure) for data in conditions]
            values, low, high = np.array(intervals).T
            if np.isnan(values).all():
                note_empty(axes)
                continue
            axes.errorbar(
                places, values, np.stack([values - low, high - values]), fmt="o-", ms=4.5, lw=1.2,
                color=CONDITION_COLORS[number % len(CONDITION_COLORS)], capsize=3,
            )  # fmt: skip
            axes.set_xticks(places, levels)
            axes.set_xlim(-0.4, len(places) - 0.6)
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)
            axes.yaxis.get_offset_text().set_fontsize(SMALL)
        column.panels[-1].set_xlabel(column.comparison.setting)
    return figure


def _chart(axes: Axes, comparison: Comparison, variable: str, norm: Normalize) -> None:
    trends = chart_trends(comparison.data, variable)
    relative, verdict = trends["relative"].values, trends["verdict"].values
    axes.set_facecolor(_LEFT_OUT)
    axes.pcolormesh(np.ma.masked_invalid(relative.T), cmap=_SLOPES, norm=norm, edgecolors="white")
    marks = {"rises": "▲", "falls": "▼"}
    for i, j in np.ndindex(*relative.shape):
        slope = relative[i, j]
        if np.isfinite(slope):
            mark = marks.get(str(verdict[i, j]), "•")
            size = SMALL if mark in marks.values() else 1.5 * SMALL
            axes.text(
                i + 0.5, j + 0.5, mark, ha="center", va="center", fontsize=size,
                color=contrast_color(_SLOPES(float(norm(slope)))),
            )  # fmt: skip
    for set_ticks, name in ((axes.set_xticks, "component"), (axes.set_yticks, "delay")):
        values = trends[name].values
        set_ticks(np.arange(len(values)) + 0.5, [str(value) for value in values])


def dynamics_charts(comparisons: Sequence[Comparison]) -> Figure:
    """Trends of dynamical distances over the levels, by number of components and delays.

    A column per comparison, at most four side by side; rows: angular distance and eigenvalue
    distance. Color: slope per level divided by the mean; triangles: slopes that differ from 0 (p at
    most 0.05), dots: others; grey: left out. Raises `ValueError` without a comparison.
    """
    found = require_some(comparisons)
    figure, columns = comparison_columns(found, 2, 2.5, 1.9)
    norm = Normalize(-0.6, 0.6)
    rows = (("dsa_chart", "DSA"), ("eigenvalue_chart", "eigenvalues"))
    for column in columns:
        for axes, (variable, name) in zip(column.panels, rows, strict=True):
            _chart(axes, column.comparison, variable, norm)
            if column.leftmost:
                axes.set_ylabel(f"{name}\ndelays L")
        column.panels[-1].set_xlabel("components k")
    bar = figure.colorbar(
        ScalarMappable(norm, _SLOPES),
        ax=figure.axes,
        fraction=0.03,
        pad=0.02,
        extend="both",
        aspect=30,
    )
    bar.set_label("slope per level / mean", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


def stretched_losses(comparisons: Sequence[Comparison]) -> Figure:
    """Losses of converged networks on the stretched task; below, robust sd against mean.

    The robust standard deviation is that of `degeneracy_levels`. An infinite loss is off scale:
    below its level stands how many are, and the level has no mean and no sd; nor has one with a
    single network. A column per comparison, at most four side by side. Raises `ValueError` without
    a comparison.
    """
    found = require_some(comparisons)
    figure, columns = comparison_columns(found, 2, 2.7, 1.9)
    legends = [(column.comparison.setting, column.comparison.levels) for column in columns]
    for number, column in enumerate(columns):
        (above, below), comparison = column.panels, column.comparison
        colors = ordered_colors(len(comparison.levels))
        names = list(comparison.levels)
        for place, (data, color) in enumerate(zip(comparison.data, colors, strict=True)):
            names[place] += _draw_losses(above, below, data, place, color)
        _finish_losses(above, names, comparison)
        # One legend for neighbors of the same levels.
        named = column.last or legends[number] != legends[number + 1]
        _finish_moments(below)
        if named:
            marks = [
                Line2D([], [], marker="o", ms=5, ls="", color=color, label=level)
                for level, color in zip(comparison.levels, colors, strict=True)
            ]
            legend_beside(below, comparison.setting, marks)
        if column.leftmost:
            above.set_ylabel("stretched loss")
            below.set_ylabel("robust sd")
    return figure


def _draw_losses(above: Axes, below: Axes, data: xr.Dataset, place: int, color: tuple) -> str:
    """Draws the losses of a level, and their moments; returns how many are off scale, as text."""
    losses = data["ood_loss"].where(data["status"] == Status.CONVERGED).values
    losses = losses[~np.isnan(losses)]
    finite = losses[np.isfinite(losses)]
    if len(finite):
        spots = place + 0.5 * ((np.arange(len(finite)) + 0.5) / len(finite) - 0.5)
        above.plot(spots, finite, ".", ms=4, color=color, alpha=0.7)
    if len(finite) == len(losses) > 1:
        spread = interval("spread", losses).value
        below.plot(losses.mean(), spread, "o", ms=5, color=color)
    off = len(losses) - len(finite)
    return f"\n({off} off scale)" if off else ""


def _finish_losses(axes: Axes, names: list[str], comparison: Comparison) -> None:
    """Scale and labels of the upper panel, unless it is empty."""
    if not axes.lines and names == list(comparison.levels):
        note_empty(axes)
        return
    _fit_scale(axes, "y")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel(comparison.setting)


def _finish_moments(axes: Axes) -> None:
    """Scales and labels of the lower panel, unless it is empty."""
    if not axes.lines:
        note_empty(axes)
        return
    _fit_scale(axes, "y")
    _fit_scale(axes, "x")
    axes.set_xlabel("mean")
    axes.margins(0.25)


def _fit_scale(axes: Axes, name: Literal["x", "y"]) -> None:
    """Makes an axis logarithmic if its data span a factor above 30, else linear."""
    axis = axes.xaxis if name == "x" else axes.yaxis
    low, high = axis.get_data_interval()
    if low > 0 and high > 30 * low:
        axes.set(**{f"{name}scale": "log"})
        axis.set_minor_formatter(NullFormatter())
        return
    axes.ticklabel_format(axis=name, style="sci", scilimits=(-2, 3), useMathText=True)
    axis.get_offset_text().set_fontsize(SMALL)
    axis.set_major_locator(MaxNLocator(4))
