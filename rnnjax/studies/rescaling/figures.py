"""Networks with weights divided by N: learning curves (paper: Fig. 4), and steps to a loss."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnjax.analysis import iterate_conditions, require
from rnnjax.plots.curves import draw_widths, share_limits, width_curves, width_legend
from rnnjax.plots.panels import note_empty
from rnnjax.plots.style import (
    CONDITION_COLORS,
    CONDITION_MARKERS,
    GREY,
    SMALL,
    UNITS,
    log_ticks,
    name_condition,
    name_value,
    new_figure,
    plain_numbers,
    size_ticks,
    slope_text,
    tidy,
)
from rnnjax.studies.papers import SOLVED_LOSS
from rnnjax.studies.rescaling.analysis import slowdown

__all__ = ["arm_name", "rescaling_curves", "slowdown_figure"]

_ARMS = {"torch": "eps fixed", "scaled": "eps scaled with N"}

_INNER = ("hidden", "learning_rate", "seed", "step", "target")


def arm_name(label: object) -> str:
    """Name of an arm of `eps_scaling` in a report."""
    return _ARMS.get(str(label), name_value(label))


def _row_name(labels: Mapping[str, object], arms: str) -> str:
    others = {name: value for name, value in labels.items() if name != arms}
    parts = [name_condition(others)] if others else []
    return ", ".join([*parts, *([arm_name(labels[arms])] if arms in labels else [])])


def rescaling_curves(
    dataset: xr.Dataset, *, arms: str = "eps_scaling", window: int = 50, solved: float = SOLVED_LOSS
) -> Figure:
    """Training loss against step, one curve for each network size (paper: Fig. 4).

    A column per learning rate, a row per arm and other condition. Line: mean over seeds of the
    moving average over `window` steps, band: their range, both up to the step at which the first
    seed stopped; dashed: `solved`. Raises `ValueError` for missing variables or dimensions.
    """
    require(dataset, variables=["loss"], dims=["hidden", "learning_rate", "seed", "step"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    curves = width_curves(ordered, window)
    rows, rates = list(iterate_conditions(curves, _INNER)), ordered["learning_rate"].values
    figure, grid = new_figure(len(rows), len(rates), 2.7, 2.1)
    drawn = []
    for (labels, part), line in zip(rows, grid, strict=True):
        for rate, name, axes in zip(rates, plain_numbers(list(rates)), line, strict=True):
            row = _row_name(labels, arms)
            tidy(axes, f"{row}, rate {name}" if row else f"rate {name}")
            if not draw_widths(axes, part.sel(learning_rate=rate)):
                continue
            axes.axhline(solved, color=GREY, lw=0.9, ls="--")
            drawn.append(axes)
    share_limits(drawn)
    for axes in grid[:, 0]:
        axes.set_ylabel("training loss")
    for axes in grid[-1]:
        axes.set_xlabel(UNITS["step"])
    line = Line2D([], [], color=GREY, lw=0.9, ls="--", label=f"loss {solved:g}")
    width_legend(figure, ordered["hidden"].values, [line])
    return figure


def _arm_text(name: str, arm: xr.Dataset) -> str:
    return f"{name}: {'no fit' if np.isnan(float(arm['exponent'])) else slope_text(arm)}"


def _draw_arm(axes: Axes, arm: xr.Dataset, shift: float, color: str, marker: str) -> None:
    """Steps by which enough seeds reached the loss, every run behind them, and the power law."""
    sizes, steps = arm["hidden"].values, arm["steps"].values
    runs = arm["run_steps"].transpose("hidden", "seed").values
    axes.plot(sizes * shift, runs, ".", ms=3, color=color, alpha=0.35, zorder=1)
    axes.plot(sizes * shift, steps, marker, ms=5, color=color, mfc="white", mew=1.3, zorder=3)
    ends = np.array([float(arm["hidden_min"]), float(arm["hidden_max"])])
    line = 10 ** (float(arm["intercept"]) + float(arm["exponent"]) * np.log10(ends))
    axes.plot(ends, line, color=color, lw=1.4, zorder=2)


def _draw_slowdown(axes: Axes, part: xr.Dataset, arms: str) -> bool:
    if part["run_steps"].isnull().all():
        note_empty(axes)
        return False
    axes.set_xscale("log")
    axes.set_yscale("log")
    for number, label in enumerate(part[arms].values):
        color = CONDITION_COLORS[number]
        arm = part.sel({arms: label})
        _draw_arm(axes, arm, 1.03 ** (2 * number - 1), color, CONDITION_MARKERS[number])
        axes.text(
            0.03,
            0.99 - 0.1 * number,
            _arm_text(arm_name(label), arm),
            transform=axes.transAxes,
            va="top",
            color=color,
            fontsize=SMALL,
        )
    return True


def _make_room(axes: Axes) -> None:
    """Raises the top of a logarithmic axis, for the text above the points, and sets its ticks."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.4)
    log_ticks(axes, "y")


def slowdown_figure(
    dataset: xr.Dataset, *, arms: str = "eps_scaling", fit: xr.Dataset | None = None
) -> Figure:
    """Steps to a training loss against network size in the two arms, with their power laws.

    A column per learning rate at which any run reached a target, a row per target (and other
    condition). Open marks: steps by which half of the seeds reached it; dots: every run that did;
    lines: power laws over the sizes at which half of the seeds of both arms reached it, with their
    exponents and 95% intervals. `fit`: a `slowdown` of the dataset, computed if not given. Raises
    `ValueError` for missing variables or dimensions.
    """
    fit = slowdown(dataset, arms=arms) if fit is None else fit
    others = [name for name in fit["run_steps"].dims if name != "learning_rate"]
    reached = fit["run_steps"].notnull().any(others)
    shown = fit.sel(learning_rate=reached) if reached.any() else fit
    rates = shown["learning_rate"].values
    inner = ("hidden", "learning_rate", "seed", arms)
    rows = list(iterate_conditions(shown, inner))
    figure, grid = new_figure(len(rows), len(rates), 3.1, 2.3)
    for number, (labels, part) in enumerate(rows):
        target = labels.pop("target")
        title = ", ".join(filter(None, [name_condition(labels), f"loss {target:g}"]))
        for rate, name, axes in zip(rates, plain_numbers(list(rates)), grid[number], strict=True):
            tidy(axes, f"{title}, rate {name}")
            if _draw_slowdown(axes, part.sel(learning_rate=rate), arms):
                size_ticks(axes, [int(size) for size in fit["hidden"]])
                _make_room(axes)
                axes.set_xlabel(UNITS["hidden"] if number == len(rows) - 1 else "")
        grid[number, 0].set_ylabel("steps to that loss")
    return figure
