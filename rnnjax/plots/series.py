"""Learning rates against network size: points with brackets, fitted line and band."""

import textwrap

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from rnnjax.analysis import iterate_conditions
from rnnjax.plots.style import (
    GREY,
    SMALL,
    Look,
    condition_look,
    layout_engine,
    log_ticks,
    name_condition,
    slope_text,
)

__all__ = ["draw_series", "legends_below", "share_rates"]

_LEGEND_DROP = 0.48
"""Inches from the axis to the legend: room for tick labels and the axis label."""

_LEGEND_LINE = 0.17
"""Inches per line of a legend."""

_LEGEND_MARGIN = 0.85
"""Inches of a panel's width without text of its legend: left of the axis, and the handles."""

_LETTER = 0.052
"""Inches per letter of a legend, on average."""

_ROW_GAP = 0.2
"""Inches between a legend and the title of the panel under it."""

_FLOOR = 0.03
"""Height of the crosses of sizes that trained at no rate, as a share of the panel."""


def _describe(name: str, fit: xr.Dataset) -> str:
    """Entry of a legend: exponent, interval and number of sizes fitted among those run."""
    kinds = [name for name in ("points_used", "points_censored", "points_untrained") if name in fit]
    count = f"{int(fit['points_used'])} of {sum(int(fit[name]) for name in kinds)} sizes"
    slope = "no fit" if np.isnan(float(fit["exponent"])) else f"β = {slope_text(fit)}"
    return f"{name}: {slope}, {count}".lstrip(": ")


def _draw_points(axes: Axes, found: xr.Dataset, style: Look, shift: float) -> bool:
    """Draws brackets as bars with their geometric middle, censored rates as open arrows.

    A size that trained at no rate has a cross at the bottom, which does not stretch the axis of
    rates. `shift` is a factor on the sizes, so that the bars of two conditions do not overlap.
    Returns whether there is a cross.
    """
    x = found["hidden"].values * shift
    lower, upper = found["lower"].values, found["upper"].values
    censored = found["censored"].values
    untrained = (censored == "below") & found["rate"].isnull().values
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
        here = (censored == kind) & ~untrained
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
                zorder=4,
            )
    if untrained.any():
        bottom = np.full(untrained.sum(), _FLOOR)
        axes.plot(
            x[untrained], bottom, "x", ms=6, color=style.color, mew=1.4,
            transform=axes.get_xaxis_transform(), zorder=4,
        )  # fmt: skip
    return bool(untrained.any())


def _draw_fit(axes: Axes, fit: xr.Dataset, style: Look, label: str) -> None:
    """Draws the line over the fitted sizes, with the pointwise 95% band of the refits."""
    color, there = style.color, not np.isnan(float(fit["exponent"]))
    line = style.line if there else "none"
    axes.plot([], [], marker=style.marker, ms=4.5, color=color, ls=line, lw=1.6, label=label)
    if not there:
        return
    sizes = np.geomspace(float(fit["hidden_min"]), float(fit["hidden_max"]), 40)
    rates = 10 ** (float(fit["intercept"]) + float(fit["exponent"]) * np.log10(sizes))
    axes.plot(sizes, rates, color=color, lw=1.6, ls=line)
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
    drawn = crossed = False
    for number, (labels, part) in enumerate(series):
        law, style = fit.sel(labels), condition_look(number)
        shift = 1.03 ** (number - (len(series) - 1) / 2)
        crossed = _draw_points(axes, part, style, shift) or crossed
        _draw_fit(axes, law, style, _describe(name_condition(labels), law))
        drawn = drawn or bool(part["rate"].notnull().any() | part["upper"].notnull().any())
    if crossed:
        axes.plot([], [], "x", ms=6, color=GREY, mew=1.4, label="trained at no rate tried")
    return drawn


def _legend_below(axes: Axes, letters: int) -> int:
    """Adds a legend under the axis label, outside the layout, so that the panel keeps its size.

    Entries are wrapped at so many letters. Returns the number of lines.
    """
    below = axes.transAxes + ScaledTranslation(0, -_LEGEND_DROP, axes.figure.dpi_scale_trans)
    handles, labels = axes.get_legend_handles_labels()
    texts = [textwrap.fill(label, letters, break_long_words=False) for label in labels]
    legend = axes.legend(
        handles,
        texts,
        fontsize=SMALL,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=below,
        borderaxespad=0.0,
        borderpad=0.0,
    )
    legend.set_in_layout(False)
    return sum(text.count("\n") + 1 for text in texts)


def legends_below(figure: Figure, panels: list[Axes]) -> None:
    """Adds a legend below each panel, no wider than it.

    The figure grows by the longest of them for every row of panels.
    """
    places = [spec for axes in panels if (spec := axes.get_subplotspec()) is not None]
    rows, columns = (
        max((getattr(place.get_gridspec(), name) for place in places), default=1)
        for name in ("nrows", "ncols")
    )
    room = figure.get_figwidth() / columns - _LEGEND_MARGIN
    lines = max((_legend_below(axes, int(room / _LETTER)) for axes in panels), default=0)
    height = _LEGEND_LINE * lines + 0.05
    figure.set_figheight(figure.get_figheight() + rows * height + (rows - 1) * _ROW_GAP)
    reserved = height / figure.get_figheight()
    engine = layout_engine(figure)
    engine.set(rect=(0, reserved, 1, 1 - reserved))
    if rows > 1:
        engine.set(hspace=rows * (reserved + _ROW_GAP / figure.get_figheight()))
    # Notebooks crop figures to what is in the layout: this keeps the legends.
    figure.add_artist(Rectangle((0, 0), 1, 1, fill=False, lw=0, transform=figure.transFigure))


def share_rates(panels: list[Axes]) -> None:
    """Gives all panels the same rate axis; without ticks where there is no rate in any."""
    known = [axes for axes in panels if np.isfinite(axes.dataLim.intervaly).all()]
    limits = [axes.get_ylim() for axes in known]
    for axes in panels:
        if not limits:
            axes.set_yticks([])
            axes.minorticks_off()
            continue
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        log_ticks(axes, "y")
