"""Whether learning rates carry over between sizes: loss against rate, and rates against size."""

from typing import get_args

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnjax.analysis import (
    best_learning_rates,
    critical_learning_rate,
    diverged,
    finished,
    power_law,
    require,
)
from rnnjax.analysis.success import Edge
from rnnjax.plots.panels import Panel, condition_panels, note_empty
from rnnjax.plots.series import draw_series, legends_below, share_rates
from rnnjax.plots.style import (
    GREY,
    SMALL,
    UNITS,
    log_ticks,
    name_value,
    new_figure,
    ordered_colors,
    size_ticks,
    tidy,
)
from rnnjax.studies.width_transfer.analysis import best_rate_scaling

__all__ = ["rates_against_width", "transfer_curves"]

_WITHIN = ("hidden", "learning_rate", "seed", "step")
_HIGHEST = 10.0
"""End of the loss axis, in multiples of the loss of the best output that ignores the input."""

_LEGEND_COLUMNS = 5


def _losses(dataset: xr.Dataset) -> xr.DataArray:
    """Held-out loss: infinite where a run diverged, NaN where it has not ended."""
    return dataset["final_loss"].where(~diverged(dataset), np.inf).where(finished(dataset))


def _limits(drawing: xr.Dataset) -> tuple[float, float]:
    """Limits of the loss axis of all panels: a single seed does not set them."""
    medians, blind = drawing["shown"].median("seed"), drawing["blind_loss"].values
    values = np.concatenate([medians.values.ravel(), drawing["loss"].values.ravel()])
    values = np.concatenate([values[np.isfinite(values)], blind[np.isfinite(blind)]])
    top = min(values.max(), _HIGHEST * float(np.nanmax(blind)))
    return float(values.min()) / 1.6, float(top) * 1.6


def _draw_width(axes: Axes, part: xr.Dataset, top: float, color: tuple, shift: float) -> None:
    """Median and range over the seeds of one size; triangles at the top where seeds diverged."""
    loss = part["shown"].transpose("learning_rate", "seed").values
    run = ~np.isnan(loss).all(-1)
    rates, loss = part["learning_rate"].values[run], loss[run]
    # Far enough above the axis that a curve visibly rises where it leaves it.
    beyond = np.where(np.isinf(loss), 3 * top, loss)
    middle = np.nanmedian(beyond, -1)
    axes.plot(rates, middle, color=color, lw=1.4)
    axes.fill_between(
        rates, np.nanmin(beyond, -1), np.nanmax(beyond, -1), color=color, alpha=0.13, lw=0
    )
    share = np.isinf(loss).sum(-1) / (~np.isnan(loss)).sum(-1)
    for here, fill in (((share > 0) & (share < 0.5), "none"), (share >= 0.5, color)):
        if here.any():
            places = rates[here] * shift
            axes.plot(
                places, np.full_like(places, top), "^", ms=4.5, mfc=fill, mec=color, clip_on=False
            )
    best = float(part["rate"])
    if not np.isnan(best):
        fill = color if bool(part["trained"]) else "white"
        # A mean may lie above the axis, as it does where one seed fails.
        mean = min(float(part["loss"]), top)
        axes.plot(best, mean, "o", ms=6, mfc=fill, mec=color, zorder=3, clip_on=False)


def _legend_handles(sizes: list[int], colors: list, loss: xr.DataArray) -> list[Artist]:
    """Entries of the legend: sizes, then the marks."""
    marks: list[tuple[str, dict]] = [
        ("best rate", {"marker": "o", "ls": "", "color": GREY}),
        ("best among failures", {"marker": "o", "ls": "", "mec": GREY, "mfc": "white"}),
        ("best output ignoring the input", {"ls": ":", "lw": 0.9, "color": GREY}),
    ]
    if bool(np.isinf(loss).any()):
        marks += [
            ("some seeds diverged", {"marker": "^", "ls": "", "mec": GREY, "mfc": "none"}),
            ("half or more diverged", {"marker": "^", "ls": "", "color": GREY}),
        ]
    lines = [
        Line2D([], [], color=color, lw=1.4, label=f"N = {size}")
        for size, color in zip(sizes, colors, strict=True)
    ]
    return [*lines, *(Line2D([], [], ms=5, label=label, **style) for label, style in marks)]


def _draw_panel(panel: Panel, colors: list, limits: tuple[float, float]) -> None:
    axes, part = panel.axes, panel.data
    count = len(colors)
    for number, color in enumerate(colors):
        width = part.isel(hidden=number)
        if bool(width["shown"].notnull().any()):
            _draw_width(axes, width, limits[1], color, 1.08 ** (number - (count - 1) / 2))
    blind = float(part["blind_loss"].where(part["shown"].notnull()).median())
    axes.axhline(blind, color=GREY, ls=":", lw=0.9)
    axes.set_ylim(*limits)
    log_ticks(axes, "x")
    log_ticks(axes, "y")


def transfer_curves(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
) -> Figure:
    """Held-out loss after training against learning rate, a curve per width, on common axes.

    One panel per condition (width rule, task, ...). Line: median over seeds, band: their range.
    Where seeds diverged their loss is infinite: the curve leaves the top, marked by a triangle.
    Circles mark `best_learning_rates` at their mean over seeds, by which they are chosen; open ones
    are best among failures. A band may leave the axis, whose limits are those of medians and means.
    Raises `ValueError` for missing variables or dimensions.
    """
    require(dataset, variables=["final_loss", "blind_loss"], dims=_WITHIN[:3])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    best = best_learning_rates(ordered, level, accuracy, threshold)
    shown = _losses(ordered).rename("shown")
    blind = ordered["blind_loss"].where(shown.notnull())
    drawing = xr.Dataset(
        {
            "shown": shown,
            "blind_loss": blind,
            "rate": best["rate"],
            "loss": best["loss"],
            "trained": best["trained"],
        }
    )
    figure, panels = condition_panels(drawing, _WITHIN, width=4.0, height=2.8)
    sizes = [int(size) for size in ordered["hidden"]]
    colors, others = ordered_colors(len(sizes)), set(shown.dims) - {"learning_rate"}
    rates = shown["learning_rate"].values[shown.notnull().any(others).values]
    for panel in panels:
        if not bool(panel.data["shown"].notnull().any()):
            note_empty(panel.axes)
            continue
        panel.axes.set_xscale("log")
        panel.axes.set_yscale("log")
        panel.axes.set_xlim(rates[0] / 1.3, rates[-1] * 1.3)
        _draw_panel(panel, colors, _limits(drawing))
        panel.axes.set_xlabel(UNITS["learning_rate"] if panel.last_row else "")
        panel.axes.set_ylabel("held-out loss" if panel.first_column else "")
    figure.legend(
        handles=_legend_handles(sizes, colors, shown),
        loc="outside lower center",
        ncols=_LEGEND_COLUMNS if figure.get_figwidth() > 6 else 2,
        fontsize=SMALL,
        frameon=False,
    )
    return figure


def rates_against_width(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    best: xr.Dataset | None = None,
    critical: xr.Dataset | None = None,
    first: xr.Dataset | None = None,
) -> Figure:
    """The best and the critical learning rate against network size, a fitted line per rule.

    Three panels for each task: the best rate, the critical one, and the critical one up to the
    first failure; colors are the other conditions. Bar: the bracket, for the best rate
    half a grid step on either side, for a critical rate from it to the next larger rate tried;
    open arrows: censored at the edge of the grid and not fitted; line and band: the power law and
    the 95% range of its refits. `best`, a `best_rate_scaling`, and `critical` and `first`, of
    `power_law`, are computed with the other arguments if not given. Raises `ValueError` for missing
    variables or dimensions.
    """
    require(dataset, dims=_WITHIN[:3])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    if best is None:
        best = best_rate_scaling(ordered, level, accuracy, threshold)
    if critical is None:
        critical = power_law(ordered, level, accuracy, threshold)
    if first is None:
        first = power_law(ordered, level, accuracy, threshold, edge="first")
    last_edge, first_edge = (
        critical_learning_rate(ordered, level, accuracy, threshold, edge=edge)
        for edge in get_args(Edge)
    )
    kinds = {
        "Best rate": (best, best),
        "Critical rate": (last_edge, critical),
        "Critical rate, to first failure": (first_edge, first),
    }
    tasks = list(ordered["task"].values) if "task" in ordered.dims else [None]
    figure, grid = new_figure(len(tasks), len(kinds), 3.9, 3.4)
    drawn = []
    for task, row in zip(tasks, grid, strict=True):
        here = {} if task is None else {"task": task}
        for axes, (title, (found, fit)) in zip(row, kinds.items(), strict=True):
            tidy(axes, title if task is None else f"{name_value(task)}: {title.lower()}")
            axes.set_xscale("log")
            axes.set_yscale("log")
            if not draw_series(axes, found.sel(here), fit.sel(here)):
                note_empty(axes)
                continue
            drawn.append(axes)
            size_ticks(axes, [int(size) for size in ordered["hidden"]])
            axes.set_xlabel(UNITS["hidden"])
            axes.set_ylabel(UNITS["learning_rate"] if axes is row[0] else "")
    legends_below(figure, drawn)
    share_rates(drawn)
    return figure
