"""Arrows of degeneracy along training: slopes over a factor, and the measures, against the loss."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from rnnjax.analysis import MEASURES, Comparison, Trend, measure_interval
from rnnjax.plots.panels import measure_label, note_empty
from rnnjax.plots.style import (
    GREY,
    SMALL,
    Look,
    condition_look,
    legend_beside,
    log_ticks,
    new_figure,
    ordered_colors,
    plain_number,
    tidy,
)

__all__ = ["ArrowCurve", "arrow_curves", "stage_levels"]

_LINEAR = 10.0
"""Percent up to which the axis of slopes is linear; beyond, it is logarithmic."""


class ArrowCurve(NamedTuple):
    """The trend of one measure over the levels of a factor, at several losses along training."""

    measure: str
    """Row of the figure, such as `weights`."""
    factor: str
    """Column, such as `bits`."""
    task: str
    """Entry of the legend."""
    stages: tuple[float, ...]
    """Losses over the task's threshold, falling."""
    trends: tuple[Trend, ...]
    """As many."""
    note: str = ""
    """Text above the panel, at the right."""


def _stage_axis(axes: Axes, stages: Sequence[float]) -> None:
    """A logarithmic x axis from the largest loss to the smallest, with ticks at the stages."""
    axes.set_xscale("log")
    reach, places = 1.25, sorted(set(stages))
    axes.set_xlim(places[-1] * reach, places[0] / reach)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([plain_number(stage, 3) for stage in places])


def _draw_curve(axes: Axes, curve: ArrowCurve, look: Look, shift: float) -> bool:
    """Draws slopes with their intervals, filled where there is an arrow; returns whether any."""
    color, marker, line = look
    x = np.array(curve.stages) * shift
    y, low, high = (
        100 * np.array([getattr(trend, name) for trend in curve.trends])
        for name in ("relative", "relative_low", "relative_high")
    )
    known = np.isfinite(y)
    if not known.any():
        return False
    bars = np.nan_to_num(np.stack([y - low, high - y])[:, known], nan=np.nan, posinf=1e9)
    axes.errorbar(
        x[known], y[known], bars, color=color, lw=1.2, ls=line, elinewidth=0.9, capsize=2.0
    )
    axes.plot([], [], marker, ms=4.5, color=color, lw=1.2, ls=line, label=curve.task)
    sure = np.array([trend.verdict in ("rises", "falls") for trend in curve.trends])
    for chosen, face in ((known & sure, color), (known & ~sure, "white")):
        axes.plot(x[chosen], y[chosen], marker, ms=4.5, color=color, mfc=face)
    return True


def arrow_curves(curves: Sequence[ArrowCurve]) -> Figure:
    """Slopes per level of a factor against the loss at which networks are compared.

    A row per measure, a column per factor, a line per task; the loss falls from left to right, as
    in training, over the stages of all lines of a panel. Bars are 95% intervals; open marks: no
    arrow. Raises `ValueError` without a curve, or for one whose stages and trends are not as many.
    """
    found = list(curves)
    if not found:
        raise ValueError("curves: expected at least one, got none")
    for curve in found:
        if not curve.stages or len(curve.stages) != len(curve.trends):
            raise ValueError(
                f"curves: expected a trend per stage, got {len(curve.trends)} and "
                f"{len(curve.stages)} of {curve.task}"
            )
    rows, columns, tasks = (
        list(dict.fromkeys(getattr(curve, name) for curve in found))
        for name in ("measure", "factor", "task")
    )
    figure, grid = new_figure(len(rows), len(columns), 2.5, 1.9)
    for (i, j), axes in np.ndenumerate(grid):
        here = [c for c in found if (c.measure, c.factor) == (rows[i], columns[j])]
        tidy(axes, columns[j] if i == 0 else "")
        axes.set_yscale("symlog", linthresh=_LINEAR, linscale=1.0)  # before limits are found
        drawn = False
        for curve in here:
            number = tasks.index(curve.task)
            shift = 1.05 ** (number - (len(tasks) - 1) / 2)
            drawn = _draw_curve(axes, curve, condition_look(number), shift) or drawn
        if not drawn:
            note_empty(axes)
            continue
        axes.axhline(0.0, color=GREY, lw=0.7, zorder=0)
        _percent_ticks(axes)
        _stage_axis(axes, [stage for curve in here for stage in curve.stages])
        notes = dict.fromkeys(curve.note for curve in here if curve.note)
        axes.set_title("; ".join(notes), loc="right", fontsize=SMALL, color=GREY)
        if j == 0:
            axes.set_ylabel(f"{rows[i]},\n% per level")
        if i == len(rows) - 1:
            axes.set_xlabel("loss over threshold")
    _share_legend(figure, grid)
    return figure


def _percent_ticks(axes: Axes) -> None:
    low, high = axes.get_ylim()
    reach = max(abs(low), abs(high))
    powers = [base * 10**power for power in range(2, 9) for base in (1, 3)]
    sizes = [*((3, 10) if reach < 30 else (10, 30)), *powers]
    if reach > 1000:  # too many for one axis
        sizes = [size for size in sizes if str(size).startswith("1")]
    ticks = [tick for tick in (0, *sizes, *(-size for size in sizes)) if low <= tick <= high]
    ticks.sort()
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticklabels([f"{tick:+d}".replace("+0", "0") for tick in ticks])


def _share_legend(figure: Figure, grid: np.ndarray) -> None:
    """One legend below all panels."""
    entries = {}
    for axes in grid.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=4, fontsize=SMALL,
        frameon=False,
    )  # fmt: skip


def stage_levels(
    series: Sequence[Sequence[Comparison]], measures: Sequence[Sequence[str]]
) -> Figure:
    """Measures of every level of a factor against the loss at which networks are compared.

    A row per series, whose comparisons are those of its stages; in each row the `measures` of that
    series, as many in each, with 95% intervals over networks (of a spread, the robust one). Raises
    `ValueError` without a series or measures, or for a comparison without a stage.
    """
    if not series or any(not s or any(c.stage is None for c in s) for s in series):
        raise ValueError("series: expected comparisons with stages, got none or others")
    if len(measures) != len(series) or not measures[0] or len({len(m) for m in measures}) > 1:
        raise ValueError(f"measures: expected as many for each of {len(series)} series")
    figure, grid = new_figure(len(series), len(measures[0]), 2.4, 1.7)
    for row, stages, names in zip(grid, series, measures, strict=True):
        levels = stages[0].levels
        x = np.array([float(c.stage or 0.0) for c in stages])
        for axes, name in zip(row, names, strict=True):
            first = axes is row[0]
            tidy(axes, f"{stages[0].title}, {stages[0].setting}" if first else "")
            found = np.array([[measure_interval(d, name) for d in c.data] for c in stages])
            if np.isnan(found[..., 0]).all():
                note_empty(axes)
                continue
            for place, color in enumerate(ordered_colors(len(levels))):
                y, low, high = found[:, place].T
                bars = np.nan_to_num(np.stack([y - low, high - y]), nan=np.nan)
                shift = 1.06 ** (place - (len(levels) - 1) / 2)
                axes.errorbar(
                    x * shift, y, bars, fmt="o-", ms=3.0, lw=1.1, color=color, capsize=2.0,
                )  # fmt: skip
            _stage_axis(axes, x.tolist())
            axes.set_ylabel(measure_label(name), fontsize=SMALL)
            if MEASURES[name].statistic == "spread" and axes.dataLim.y0 > 0:
                axes.set_yscale("log")  # falls by decades, as the loss does
                log_ticks(axes, "y")
                continue
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)
            axes.yaxis.get_offset_text().set_fontsize(SMALL)
        handles = [
            Line2D([], [], marker="o", ms=3.0, lw=1.1, color=color, label=level)
            for level, color in zip(levels, ordered_colors(len(levels)), strict=True)
        ]
        legend_beside(row[-1], stages[0].setting, handles)
    for axes in grid[-1]:
        axes.set_xlabel("loss over threshold")
    return figure
