"""Training in the latent space: learning curves, accuracy and cost by size (paper: Fig. 5)."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from rnnjax.analysis import iterate_conditions, require
from rnnjax.plots.curves import draw_widths, share_limits, width_curves, width_legend
from rnnjax.plots.panels import condition_panels, note_empty
from rnnjax.plots.style import (
    CONDITION_COLORS,
    GREY,
    SMALL,
    UNITS,
    condition_look,
    log_ticks,
    name_condition,
    new_figure,
    plain_numbers,
    size_ticks,
    tidy,
)
from rnnjax.studies.papers import LATENT_EPOCH_SECONDS

__all__ = ["latent_accuracy", "latent_cost", "latent_curves"]

_INNER = ("hidden", "learning_rate", "seed", "step")

_KINDS = ("pearson", "decision")


def latent_curves(dataset: xr.Dataset, *, window: int = 10) -> Figure:
    """Training loss against step, one curve for each network size (paper: Fig. 5A).

    A column per learning rate, a row per task or other condition. Line: mean over seeds of the
    moving average over `window` steps, band: their range. Raises `ValueError` for missing
    variables or dimensions.
    """
    require(dataset, variables=["loss"], dims=[*_INNER])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    curves = width_curves(ordered, window)
    rows, rates = list(iterate_conditions(curves, _INNER)), ordered["learning_rate"].values
    figure, grid = new_figure(len(rows), len(rates), 3.1, 2.2)
    for (labels, part), line in zip(rows, grid, strict=True):
        drawn = []
        for rate, name, axes in zip(rates, plain_numbers(list(rates)), line, strict=True):
            tidy(axes, ", ".join(filter(None, [name_condition(labels), f"rate {name}"])))
            if draw_widths(axes, part.sel(learning_rate=rate)):
                drawn.append(axes)
        share_limits(drawn)
        line[0].set_ylabel("training loss")
    for axes in grid[-1]:
        axes.set_xlabel(UNITS["step"])
    width_legend(figure, ordered["hidden"].values)
    return figure


def _label_sizes(figure: Figure, sizes: np.ndarray) -> None:
    """A tick at every size, and labels where they do not touch, on the final layout."""
    shown = [axes for axes in figure.axes if axes.has_data()]
    for axes in shown:
        size_ticks(axes, sizes.tolist())
        axes.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
        axes.set_xticklabels([str(size) for size in sizes])
    figure.draw_without_rendering()
    for axes in shown:
        end = -np.inf
        labelled = []
        for size, label in zip(sizes.tolist(), axes.get_xticklabels(), strict=True):
            box = label.get_window_extent()
            if box.x0 > end + box.height / 2:
                labelled.append(size)
                end = box.x1
        axes.set_xticks(labelled, [str(size) for size in labelled])
        axes.xaxis.set_minor_locator(FixedLocator(sizes.tolist()))


def _draw_accuracy(axes: Axes, part: xr.Dataset) -> None:
    """Mean over seeds with their range; filled: pearson, open: decision."""
    axes.set_xscale("log")
    rates = part["learning_rate"].values
    series = [(rate, kind) for rate in range(len(rates)) for kind in range(len(_KINDS))]
    names = plain_numbers(list(rates))
    for number, (rate, kind) in enumerate(series):
        values = part[f"accuracy_{_KINDS[kind]}"].isel(learning_rate=rate)
        mean = values.mean("seed").values
        low, high = values.min("seed").values, values.max("seed").values
        if np.isnan(mean).all():
            continue
        color, marker, _ = condition_look(rate)
        # Shifted, so that the bars of one size do not overlap.
        shift = 1.05 ** (number - (len(series) - 1) / 2)
        axes.errorbar(
            part["hidden"].values * shift,
            mean,
            yerr=np.stack([mean - low, high - mean]).clip(0),  # a mean may be rounded past its ends
            color=color,
            marker=marker,
            ms=4.5,
            mfc=color if kind == 0 else "white",
            ls="-" if kind == 0 else ":",
            lw=1.1,
            elinewidth=1,
            capsize=2,
            label=f"{_KINDS[kind]}, rate {names[rate]}",
        )


def latent_accuracy(dataset: xr.Dataset) -> Figure:
    """Accuracy after training against network size (paper: Fig. 5B), one panel per task.

    Filled: correlation of output and target, the paper's accuracy (`pearson`); open: fraction of
    right choices in the response period (`decision`). Mean over seeds and their range. Raises
    `ValueError` for missing variables or dimensions.
    """
    names = [f"accuracy_{kind}" for kind in _KINDS]
    require(dataset, variables=names, dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    shown = ordered[names]
    figure, panels = condition_panels(shown, _INNER, width=3.4, height=2.5)
    handles, labels = [], []
    for panel in panels:
        _draw_accuracy(panel.axes, panel.data)
        if not panel.axes.lines:
            note_empty(panel.axes)
            continue
        handles, labels = panel.axes.get_legend_handles_labels()
        low, _ = panel.axes.get_ylim()
        panel.axes.set_ylim(min(low, 0.45), 1.02)
        panel.axes.set_xlabel(UNITS["hidden"] if panel.last_row else "")
        panel.axes.set_ylabel("accuracy" if panel.first_column else "")
    if handles:
        figure.legend(handles, labels, loc="outside right center", fontsize=SMALL, frameon=False)
    _label_sizes(figure, shown["hidden"].values)
    return figure


def _guide(axes: Axes, sizes: np.ndarray, values: np.ndarray) -> None:
    """A line of slope one through the last point, which may leave the axes."""
    x = np.array([sizes[0], sizes[-1]], float)
    line = Line2D(
        x, values[-1] * x / sizes[-1], color=GREY, lw=0.9, ls=":", label="proportional to N"
    )
    axes.add_artist(line)  # unlike a plot, it does not stretch the axes


def _draw_cost(axes: Axes, cost: xr.Dataset, name: str, scale: float) -> bool:
    known = cost[name].notnull().values
    if not known.any():
        note_empty(axes)
        return False
    axes.set_xscale("log")
    axes.set_yscale("log")
    part = cost.isel(hidden=known)
    sizes, values = part["hidden"].values, part[name].values * scale
    color = CONDITION_COLORS[0]
    axes.plot(sizes, values, "o-", color=color, ms=4.5, lw=1.3, label="here")
    if f"{name}_low" in part:
        low, high = (part[f"{name}_{end}"].values * scale for end in ("low", "high"))
        axes.vlines(sizes, low, high, color=color, lw=1.1)
    _guide(axes, sizes, values)
    return True


def latent_cost(cost: xr.Dataset) -> Figure:
    """Seconds per epoch and peak memory against network size, on logarithmic axes (paper: Fig. 5C).

    `cost` has, along `hidden`, `seconds_per_epoch` (with `seconds_per_epoch_low` and `_high`, drawn
    as a bar, if present) and `peak_bytes`, each NaN where not measured. Dotted: proportional to N,
    through the largest size; dashed: the paper's 250 ms. Raises `ValueError` for missing variables.
    """
    require(cost, variables=["seconds_per_epoch", "peak_bytes"], dims=["hidden"])
    ordered = cost.sortby("hidden")
    figure, grid = new_figure(1, 2, 3.4, 2.5)
    parts = (
        ("seconds_per_epoch", 1.0, "Time", "seconds per epoch"),
        ("peak_bytes", 2.0**-30, "Memory", "peak memory (GiB)"),
    )
    for axes, (name, scale, title, label) in zip(grid[0], parts, strict=True):
        tidy(axes, title)
        if not _draw_cost(axes, ordered, name, scale):
            continue
        if name == "seconds_per_epoch":
            paper = f"paper: {1e3 * LATENT_EPOCH_SECONDS:g} ms"
            axes.axhline(LATENT_EPOCH_SECONDS, color=GREY, lw=0.9, ls="--", label=paper)
        log_ticks(axes, "y")
        axes.set_xlabel(UNITS["hidden"])
        axes.set_ylabel(label)
        axes.legend(fontsize=SMALL, frameon=False)
    _label_sizes(figure, ordered["hidden"].values)
    return figure
