"""Degeneracy against the levels of a factor, and charts of distances over components and delays."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from rnnjax.analysis import (
    MEASURES,
    Comparison,
    chart_trends,
    measure_estimate,
    measure_interval,
)
from rnnjax.plots.panels import note_empty, require_some, stack_title
from rnnjax.plots.style import (
    CONDITION_COLORS,
    SMALL,
    new_figure,
    ordered_colors,
    tidy,
)
from rnnjax.training import Status
from rnnjax.validate import one_of

__all__ = ["degeneracy_levels", "dynamics_charts", "stretched_losses"]

_LEFT_OUT = "#d9d9d9"


def degeneracy_levels(
    comparisons: Sequence[Comparison], measures: Sequence[str] = ("dsa", "pif", "ood_spread")
) -> Figure:
    """Measures (`rnnjax.analysis.MEASURES`) at every level with jackknife standard errors.

    A measure that is a standard deviation (sd) is shown as the robust one, whose trends are tested,
    with its 95% interval. A column per comparison, a row per measure. Raises `ValueError` without a
    comparison, or for an unknown measure.
    """
    found = require_some(comparisons)
    for measure in measures:
        one_of("measures", measure, MEASURES)
    figure, grid = new_figure(len(measures), len(found), 2.6, 1.9)
    for column, comparison in zip(grid.T, found, strict=True):
        places = np.arange(len(comparison.levels))
        for axes, measure in zip(column, measures, strict=True):
            tidy(axes, stack_title(comparison.title) if axes is column[0] else "")
            values, errors = _with_errors(comparison, measure)
            color = CONDITION_COLORS[list(measures).index(measure) % len(CONDITION_COLORS)]
            axes.errorbar(places, values, errors, fmt="o-", ms=4.5, lw=1.2, color=color, capsize=3)
            axes.set_xticks(places, comparison.levels)
            axes.set_xlim(-0.4, len(places) - 0.6)
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)
            axes.yaxis.get_offset_text().set_fontsize(SMALL)
        column[-1].set_xlabel(comparison.setting)
    for axes, measure in zip(grid[:, 0], measures, strict=True):
        axes.set_ylabel(MEASURES[measure].label)
    return figure


def _with_errors(comparison: Comparison, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """A measure at every level, and its error below and above, `[2, level]`."""
    if MEASURES[measure].statistic != "spread":
        found = np.array([measure_estimate(data, measure) for data in comparison.data])
        return found[:, 0], np.stack([found[:, 1]] * 2)
    found = np.array([measure_interval(data, measure) for data in comparison.data])
    value, low, high = found.T
    return value, np.stack([value - low, high - value])


def _chart(axes: Axes, comparison: Comparison, variable: str, norm: Normalize) -> None:
    trends = chart_trends(comparison.data, variable)
    relative, verdict = trends["relative"].values, trends["verdict"].values
    axes.set_facecolor(_LEFT_OUT)
    axes.pcolormesh(np.ma.masked_invalid(relative.T), cmap="RdBu_r", norm=norm, edgecolors="white")
    marks = {"rises": "▲", "falls": "▼"}
    for i, j in np.ndindex(*relative.shape):
        if np.isfinite(relative[i, j]):
            mark = marks.get(str(verdict[i, j]), "·")
            axes.text(i + 0.5, j + 0.5, mark, ha="center", va="center", fontsize=SMALL)
    for set_ticks, name in ((axes.set_xticks, "component"), (axes.set_yticks, "delay")):
        values = trends[name].values
        set_ticks(np.arange(len(values)) + 0.5, [str(value) for value in values])


def dynamics_charts(comparisons: Sequence[Comparison]) -> Figure:
    """Trends of dynamical distances over the levels, by number of components and delays.

    A column per comparison; rows: angular distance and eigenvalue distance. Color: slope per level
    divided by the mean; triangles: slopes that differ from 0 (p at most 0.05), dots: others; grey:
    left out. Raises `ValueError` without a comparison.
    """
    found = require_some(comparisons)
    figure, grid = new_figure(2, len(found), 2.5, 1.9)
    norm = Normalize(-0.6, 0.6)
    rows = (("dsa_chart", "DSA"), ("eigenvalue_chart", "eigenvalues"))
    for row, (variable, name) in zip(grid, rows, strict=True):
        for axes, comparison in zip(row, found, strict=True):
            tidy(
                axes,
                f"{stack_title(comparison.title)}\n{comparison.setting}" if axes in grid[0] else "",
            )
            _chart(axes, comparison, variable, norm)
        row[0].set_ylabel(f"{name}\ndelays L")
    for axes in grid[-1]:
        axes.set_xlabel("components k")
    bar = figure.colorbar(
        ScalarMappable(norm, colormaps["RdBu_r"]),
        ax=grid,
        fraction=0.03,
        pad=0.02,
        extend="both",
        aspect=30,
    )
    bar.set_label("slope per level / mean", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


def stretched_losses(comparisons: Sequence[Comparison]) -> Figure:
    """Losses of converged networks on the stretched task; below, standard deviation against mean.

    An infinite loss is off scale: below its level stands how many are, and the level has no mean
    and no standard deviation; nor has one with a single network. A column per comparison. Raises
    `ValueError` without a comparison.
    """
    found = require_some(comparisons)
    figure, grid = new_figure(2, len(found), 2.7, 1.9)
    for (above, below), comparison in zip(grid.T, found, strict=True):
        tidy(above, stack_title(comparison.title))
        tidy(below, "")
        colors = ordered_colors(len(comparison.levels))
        names = list(comparison.levels)
        for place, (data, color) in enumerate(zip(comparison.data, colors, strict=True)):
            losses = data["ood_loss"].where(data["status"] == Status.CONVERGED).values
            losses = losses[~np.isnan(losses)]
            finite = losses[np.isfinite(losses)]
            if len(finite) < len(losses):
                names[place] += f"\n({len(losses) - len(finite)} off scale)"
            if len(finite):
                spots = place + 0.5 * ((np.arange(len(finite)) + 0.5) / len(finite) - 0.5)
                above.plot(spots, finite, ".", ms=4, color=color, alpha=0.7)
            if len(finite) == len(losses) > 1:
                level = comparison.levels[place]
                below.plot(losses.mean(), losses.std(), "o", ms=5, color=color, label=level)
        _finish_losses(above, names, comparison)
        _finish_moments(below, comparison.setting)
    grid[0, 0].set_ylabel("stretched loss")
    grid[1, 0].set_ylabel("standard deviation")
    return figure


def _finish_losses(axes: Axes, names: list[str], comparison: Comparison) -> None:
    """Scale and labels of the upper panel, unless it is empty."""
    if not axes.lines and names == list(comparison.levels):
        note_empty(axes)
        return
    _fit_scale(axes, "y")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel(comparison.setting)


def _finish_moments(axes: Axes, setting: str) -> None:
    """Scales, labels and legend of the lower panel, unless it is empty."""
    if not axes.lines:
        note_empty(axes)
        return
    _fit_scale(axes, "y")
    _fit_scale(axes, "x")
    axes.set_xlabel("mean")
    axes.margins(0.25)
    axes.legend(title=setting, fontsize=SMALL, title_fontsize=SMALL, frameon=False)


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
