"""Predicted and measured largest rates against size, and sharpness along training."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import critical_learning_rate, iterate_conditions, require
from rnnjax.plots.panels import note_empty
from rnnjax.plots.style import (
    CONDITION_COLORS,
    GREY,
    SMALL,
    UNITS,
    log_ticks,
    name_condition,
    name_value,
    new_figure,
    ordered_colors,
    size_ticks,
    tidy,
)
from rnnjax.studies.sharpness.analysis import with_stability

__all__ = ["predicted_rates", "sharpness_curves"]

_SHOWN = (0.2, 20.0)
"""Limits of rate times sharpness: a run that is about to diverge exceeds any others."""

_KINDS = {"stable": ("stable", 0.5), "learns": ("decision", None)}


def predicted_rates(results: xr.Dataset, sharpness: xr.Dataset) -> Figure:
    """Largest learning rates against network size: predicted, stable, and those that learn.

    One column per rule, one row per activation. Dots: 2 over the sharpness of each seed before
    training, with a line through the medians. Bars: from the largest rate at which half of the
    seeds are stable (or learn) to the next larger rate tried; arrows where that is none. Raises
    `ValueError` for missing dimensions.
    """
    require(results, dims=["cell", "activation", "hidden", "learning_rate", "seed"])
    require(sharpness, variables=["largest_rate"], dims=["cell", "activation", "hidden", "seed"])
    results = with_stability(results, sharpness)
    edges = {
        kind: critical_learning_rate(results, 0.5, *how, edge="first")
        for kind, how in _KINDS.items()
    }
    rows, columns = results["activation"].values, results["cell"].values
    figure, grid = new_figure(len(rows), len(columns), 2.5, 2.3)
    for activation, line in zip(rows, grid, strict=True):
        for cell, axes in zip(columns, line, strict=True):
            at = {"cell": cell, "activation": activation}
            tidy(axes, f"{name_value(str(cell))}, {activation}")
            axes.set_xscale("log")
            axes.set_yscale("log")
            _draw_predictions(axes, sharpness["largest_rate"].sel(at))
            for (kind, found), color in zip(edges.items(), CONDITION_COLORS[1:], strict=False):
                _draw_edges(axes, found.sel(at), kind, color)
            size_ticks(axes, [int(size) for size in results["hidden"].values])
            log_ticks(axes, "y")
        line[0].set_ylabel("learning rate")
    for axes in grid[-1]:
        axes.set_xlabel(UNITS["hidden"])
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False
    )
    return figure


def _draw_predictions(axes: Axes, rates: xr.DataArray) -> None:
    rates = rates.transpose("hidden", "seed").sortby("hidden")
    sizes, color = rates["hidden"].values, CONDITION_COLORS[0]
    axes.plot(sizes, rates.values, ".", color=color, ms=4, alpha=0.6)
    axes.plot(sizes, rates.median("seed"), "-", color=color, lw=1.3, label="2 / sharpness at start")


def _draw_edges(axes: Axes, found: xr.Dataset, kind: str, color: str) -> None:
    """Brackets of the largest rates; arrows at rates beyond which nothing was tried."""
    known = (found["censored"] == "none").values & found["rate"].notnull().values
    shift = {"stable": 0.97, "learns": 1.03}[kind]
    sizes, lower, upper = (found[name].values for name in ("hidden", "lower", "upper"))
    middle = np.sqrt(lower[known] * upper[known])
    axes.errorbar(
        sizes[known] * shift, middle, yerr=[middle - lower[known], upper[known] - middle],
        fmt="none", color=color, elinewidth=1.8, capsize=2.5,
        label={"stable": "largest stable rate", "learns": "largest rate that learns"}[kind],
    )  # fmt: skip
    above = (found["censored"] == "above").values
    axes.plot(sizes[above] * shift, lower[above], "^", color=color, mfc="none", ms=6)


def sharpness_curves(curves: xr.Dataset) -> Figure:
    """Learning rate times sharpness along training, one curve per rate and seed; dashed: 2.

    `curves` has `sharpness` over (cell, activation, factor, seed, step) and `learning_rate` over
    the first three. Loss falls stably where the product is below 2. Raises `ValueError` for missing
    variables or dimensions.
    """
    within = ["cell", "activation", "factor", "seed", "step"]
    require(curves, variables=["sharpness", "learning_rate"], dims=within)
    rows, columns = curves["activation"].values, curves["cell"].values
    figure, grid = new_figure(len(rows), len(columns), 2.5, 2.1)
    factors = curves["factor"].values
    colors = ordered_colors(len(factors))
    product = curves["sharpness"] * curves["learning_rate"]
    for labels, part in iterate_conditions(
        product.to_dataset(name="p"), ("factor", "seed", "step")
    ):
        row = list(rows).index(labels.get("activation", rows[0]))
        axes = grid[row, list(columns).index(labels.get("cell", columns[0]))]
        tidy(axes, f"{name_condition({'cell': labels['cell']})}, {labels['activation']}")
        values = part["p"].transpose("factor", "seed", "step")
        if not (values > 0).any():
            note_empty(axes)
            continue
        axes.set_yscale("log")
        for factor, color, curve in zip(factors, colors, values.values, strict=True):
            for seed, line in enumerate(curve):
                label = f"{factor:g} times the prediction" if not seed else None
                shown = np.where(line > 0, line, np.nan)
                axes.plot(curves["step"].values, shown, color=color, lw=1.0, label=label)
        axes.axhline(2, color=GREY, lw=0.9, ls="--")
        axes.set_ylim(*_SHOWN)
        log_ticks(axes, "y")
    for axes in grid[:, 0]:
        axes.set_ylabel("rate times sharpness")
    for axes in grid[-1]:
        axes.set_xlabel(UNITS["step"])
    drawn = [axes.get_legend_handles_labels() for axes in grid.flat]
    handles, names = max(drawn, key=lambda found: len(found[0]))
    figure.legend(
        handles, names, loc="outside lower center", ncols=4, fontsize=SMALL, frameon=False
    )
    return figure
