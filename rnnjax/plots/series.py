"""Learning rates against network size: points with brackets, fitted line and band."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from rnnjax.analysis import iterate_conditions
from rnnjax.plots.style import (
    CONDITION_COLORS,
    CONDITION_MARKERS,
    SMALL,
    layout_engine,
    log_ticks,
    name_condition,
    signed,
)

__all__ = ["draw_series", "legends_below", "share_rates"]

_LEGEND_DROP = 0.48
"""Inches from the axis to the legend: room for tick labels and the axis label."""

_LEGEND_LINE = 0.17
"""Inches per line of a legend."""

_ROW_GAP = 0.2
"""Inches between a legend and the title of the panel under it."""


class _Style(NamedTuple):
    """Color, marker and shift of one condition's points."""

    color: str
    marker: str
    shift: float
    """Factor on the sizes, so that the bars of two conditions do not overlap."""


def _style(number: int, count: int) -> _Style:
    """The style of series `number` of `count`."""
    return _Style(
        CONDITION_COLORS[number % len(CONDITION_COLORS)],
        CONDITION_MARKERS[number % len(CONDITION_MARKERS)],
        1.03 ** (number - (count - 1) / 2),
    )


def _describe(name: str, fit: xr.Dataset) -> str:
    """Entry of a legend: exponent, interval and number of sizes fitted among those run."""
    kinds = [name for name in ("points_used", "points_censored", "points_untrained") if name in fit]
    count = f"{int(fit['points_used'])} of {sum(int(fit[name]) for name in kinds)} sizes"
    slope = float(fit["exponent"])
    if np.isnan(slope):
        return f"{name}: no fit, {count}".lstrip(": ")
    low, high = float(fit["exponent_low"]), float(fit["exponent_high"])
    ends = "" if np.isnan(low) else f" [{signed(low)}, {signed(high)}]"
    return f"{name}: β = {signed(slope)}{ends}, {count}".lstrip(": ")


def _draw_points(axes: Axes, found: xr.Dataset, style: _Style) -> None:
    """Draws brackets as bars with their geometric middle, censored rates as open arrows."""
    x = found["hidden"].values * style.shift
    lower, upper = found["lower"].values, found["upper"].values
    censored = found["censored"].values
    known = np.isfinite(lower) & (censored == "none")
    middle = np.sqrt(lower[known] * upper[known])
    bars = np.stack([middle - lower[known], upper[known] - middle])
    axes.errorbar(
        x[known],
        middle,
        yerr=bars,
        fmt=style.marker,
        ms=4.5,
        color=style.color,
        elinewidth=1.1,
        capsize=2.5,
    )
    for kind, edge, arrow in (("above", lower, "^"), ("below", upper, "v")):
        here = censored == kind
        if here.any():
            axes.plot(
                x[here],
                edge[here],
                arrow,
                ms=7,
                mfc="none",
                mec=style.color,
                mew=1.2,
                clip_on=False,
            )


def _draw_fit(axes: Axes, fit: xr.Dataset, color: str, label: str) -> None:
    """Draws the line over the fitted sizes, with the pointwise 95% band of the refits."""
    if np.isnan(float(fit["exponent"])):
        axes.plot([], [], color=color, ls=":", label=label)
        return
    sizes = np.geomspace(float(fit["hidden_min"]), float(fit["hidden_max"]), 40)
    line = 10 ** (float(fit["intercept"]) + float(fit["exponent"]) * np.log10(sizes))
    axes.plot(sizes, line, color=color, lw=1.6, label=label)
    slopes, intercepts = fit["exponent_samples"].values, fit["intercept_samples"].values
    kept = ~np.isnan(slopes)
    if kept.any():
        lines = intercepts[kept, None] + slopes[kept, None] * np.log10(sizes)
        low, high = np.quantile(lines, [0.025, 0.975], axis=0)
        axes.fill_between(sizes, 10**low, 10**high, color=color, alpha=0.15, lw=0)


def draw_series(axes: Axes, found: xr.Dataset, fit: xr.Dataset) -> bool:
    """Draws each condition: rates with brackets from `found`, power laws from `fit`.

    Returns whether any run has ended.
    """
    series = list(iterate_conditions(found, ("hidden", "resample")))
    drawn = False
    for number, (labels, part) in enumerate(series):
        law, style = fit.sel(labels), _style(number, len(series))
        _draw_points(axes, part, style)
        _draw_fit(axes, law, style.color, _describe(name_condition(labels), law))
        drawn = drawn or bool(part["rate"].notnull().any() | part["upper"].notnull().any())
    return drawn


def _legend_below(axes: Axes) -> None:
    """Adds a legend under the axis label, outside the layout, so that the panel keeps its size."""
    below = axes.transAxes + ScaledTranslation(0, -_LEGEND_DROP, axes.figure.dpi_scale_trans)
    legend = axes.legend(
        fontsize=SMALL,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=below,
        borderaxespad=0.0,
        borderpad=0.0,
    )
    legend.set_in_layout(False)


def legends_below(figure: Figure, panels: list[Axes]) -> None:
    """Adds a legend below each panel, with room for the longest under every row of panels."""
    for axes in panels:
        _legend_below(axes)
    lines = max((len(axes.get_legend_handles_labels()[1]) for axes in panels), default=0)
    places = [spec for axes in panels if (spec := axes.get_subplotspec()) is not None]
    rows = max((place.get_gridspec().nrows for place in places), default=1)
    reserved = (_LEGEND_LINE * lines + 0.05) / figure.get_figheight()
    engine = layout_engine(figure)
    engine.set(rect=(0, reserved, 1, 1 - reserved))
    if rows > 1:
        engine.set(hspace=rows * (reserved + _ROW_GAP / figure.get_figheight()))
    # Notebooks crop figures to what is in the layout: this keeps the legends.
    figure.add_artist(Rectangle((0, 0), 1, 1, fill=False, lw=0, transform=figure.transFigure))


def share_rates(panels: list[Axes]) -> None:
    """Gives all panels the same rate axis."""
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        log_ticks(axes, "y")
