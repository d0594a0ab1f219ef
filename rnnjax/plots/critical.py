"""Critical learning rate against network size, with the fitted power law (paper, Fig. 3)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from rnnjax.analysis import conditions, critical_learning_rate, power_law, require
from rnnjax.plots.panels import condition_panels, note_empty
from rnnjax.plots.style import (
    CONDITION_COLORS,
    CONDITION_MARKERS,
    SMALL,
    UNITS,
    log_ticks,
    name_condition,
    signed,
    size_ticks,
)

__all__ = ["critical_rates"]

_LEGEND_DROP = 0.48
"""Inches from the axis to the legend: room for tick labels and the axis label."""

_ALL = ("hidden", "learning_rate", "seed", "step", "resample")


def _describe(name: str, fit: xr.Dataset) -> str:
    used, censored = int(fit["points_used"]), int(fit["points_censored"])
    count = f"{used} of {used + censored} sizes"
    slope = float(fit["exponent"])
    if np.isnan(slope):
        return f"{name}: no fit, {count}".lstrip(": ")
    low, high = float(fit["exponent_low"]), float(fit["exponent_high"])
    return f"{name}: β = {signed(slope)} [{signed(low)}, {signed(high)}], {count}".lstrip(": ")


def _draw_points(axes: Axes, found: xr.Dataset, shift: float, color: str, marker: str) -> None:
    """Brackets as bars with their geometric middle; censored rates as open arrows."""
    x = found["hidden"].values * shift
    lower, upper = found["lower"].values, found["upper"].values
    censored = found["censored"].values
    known = np.isfinite(lower) & (censored == "none")
    middle = np.sqrt(lower[known] * upper[known])
    bars = np.stack([middle - lower[known], upper[known] - middle])
    axes.errorbar(
        x[known], middle, yerr=bars, fmt=marker, ms=4.5, color=color, elinewidth=1.1, capsize=2.5
    )
    for kind, edge, arrow in (("above", lower, "^"), ("below", upper, "v")):
        here = censored == kind
        if here.any():
            axes.plot(
                x[here], edge[here], arrow, ms=7, mfc="none", mec=color, mew=1.2, clip_on=False
            )


def _draw_fit(axes: Axes, fit: xr.Dataset, color: str, label: str) -> None:
    """Line over the sizes that entered the fit, with the pointwise 95% band of the refits."""
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


def _draw_panel(axes: Axes, found: xr.Dataset, fit: xr.Dataset) -> bool:
    series = list(conditions(found, _ALL))
    drawn = False
    for number, (labels, part) in enumerate(series):
        color = CONDITION_COLORS[number % len(CONDITION_COLORS)]
        # Two conditions at one size would hide each other's bars.
        shift = 1.03 ** (number - (len(series) - 1) / 2)
        marker = CONDITION_MARKERS[number % len(CONDITION_MARKERS)]
        _draw_points(axes, part, shift, color, marker)
        _draw_fit(axes, fit.sel(labels), color, _describe(name_condition(labels), fit.sel(labels)))
        drawn = drawn or bool(part["upper"].notnull().any())
    return drawn


def critical_rates(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    fit: xr.Dataset | None = None,
) -> Figure:
    """Critical learning rate against network size on log-log axes, with its power law (Fig. 3).

    One panel per task; colors are the other conditions. Bar: the grid's bracket, from the critical
    rate to the next larger rate tried, with a point at its geometric middle; open arrows: censored
    at the grid's edge and not fitted; line and band: `power_law` and the 95% range of its refits.
    `fit` reuses a `power_law` already computed with the same arguments. Raises `ValueError` for
    missing variables or dimensions.
    """
    require(dataset, dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    found = critical_learning_rate(ordered, level, accuracy, threshold)
    fit = power_law(ordered, level, accuracy, threshold) if fit is None else fit
    others = [str(name) for name in found.dims if name not in ("task", *_ALL)]
    figure, panels = condition_panels(found, (*_ALL, *others), width=4.2, height=3.4)
    drawn = []
    for panel in panels:
        panel.axes.set_xscale("log")
        panel.axes.set_yscale("log")
        here = {name: value for name, value in panel.labels.items() if name in fit.dims}
        if not _draw_panel(panel.axes, panel.data, fit.sel(here)):
            note_empty(panel.axes)
            continue
        drawn.append(panel.axes)
        size_ticks(panel.axes, [int(size) for size in found["hidden"]])
        panel.axes.set_xlabel(UNITS["hidden"])
        panel.axes.set_ylabel("critical learning rate" if panel.first_column else "")
        _legend_below(panel.axes)
    series = max((len(axes.get_legend_handles_labels()[1]) for axes in drawn), default=0)
    reserved = (0.17 * series + 0.05) / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, reserved, 1, 1 - reserved))  # pyright: ignore
    _share_rates(drawn)
    return figure


def _legend_below(axes: Axes) -> None:
    """Legend under the axis label, outside the layout, which would shrink the panel for it."""
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


def _share_rates(panels: list[Axes]) -> None:
    """One rate axis for all panels, so that tasks can be compared by eye."""
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        log_ticks(axes, "y")
