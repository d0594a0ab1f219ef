"""Maps of success over width and learning rate, of networks by distance, and of fixed points."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from rnnjax.analysis import (
    MEASURES,
    Attractors,
    Comparison,
    critical_learning_rate,
    embedding,
    require,
    success_density,
)
from rnnjax.plots.distances import scale_bar, stress
from rnnjax.plots.panels import condition_panels, note_empty, require_some, stack_title
from rnnjax.plots.style import (
    CONDITION_COLORS,
    FONT,
    GREY,
    SMALL,
    UNITS,
    new_figure,
    plain_number,
    plain_numbers,
    tidy,
)

__all__ = ["draw_points", "fixed_point_maps", "label_plane", "network_maps", "success_maps"]

_WITHIN = ("hidden", "learning_rate", "seed", "step")
_MARK = CONDITION_COLORS[1]
_NOT_RUN = {"fc": "#e9e9e9", "ec": "#bdbdbd", "hatch": "////", "lw": 0}
_MOST_LABELS = 11
_BAR = 2.2
_FLAT = 0.005
"""Share of the variance below which it would be shown as 0%."""


def _rate_labels(rates: np.ndarray) -> tuple[list[int], list[str]]:
    """Positions and texts of the rate ticks: all rates, or half or whole decades of a fine grid."""
    if len(rates) <= _MOST_LABELS:
        return list(range(len(rates))), plain_numbers([float(rate) for rate in rates])
    for per_decade in (2, 1):
        places = np.log10(rates) * per_decade
        chosen = [int(i) for i in np.nonzero(np.abs(places - np.round(places)) < 0.02)[0]]
        if 2 <= len(chosen) <= _MOST_LABELS:
            return chosen, [plain_number(float(rates[i])) for i in chosen]
    chosen = [int(i) for i in np.linspace(0, len(rates) - 1, 7)]
    return chosen, plain_numbers([float(rates[i]) for i in chosen])


def _draw_map(axes: Axes, density: xr.DataArray, critical: xr.Dataset) -> None:
    values = density.transpose("learning_rate", "hidden").values
    rates, sizes = density["learning_rate"].values, density["hidden"].values
    height, width = values.shape
    bar = _BAR if height <= _MOST_LABELS else _BAR / 2
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, zorder=0, **_NOT_RUN))
    axes.imshow(
        np.ma.masked_invalid(values), origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=1
    )
    for column, rate in enumerate(critical["rate"].values):
        if not np.isnan(rate):
            row = int(np.nonzero(rates == rate)[0][0])
            axes.plot(
                [column - 0.5, column + 0.5], [row + 0.5] * 2, color=_MARK, lw=bar, clip_on=False
            )
    positions, texts = _rate_labels(rates)
    axes.set_yticks(positions, texts)
    axes.set_xticks(range(width), [str(size) for size in sizes])
    axes.tick_params(axis="x", rotation=45 if width > 7 else 0, length=0)
    axes.tick_params(axis="y", length=2)
    axes.spines[:].set_visible(False)


def _trim_rates(density: xr.DataArray) -> xr.DataArray:
    """Leaves out the rates below the smallest and above the largest rate of any run."""
    others = [name for name in density.dims if name != "learning_rate"]
    used = np.nonzero(density.notnull().any(others).values)[0]
    return density.isel(learning_rate=slice(used[0], used[-1] + 1)) if len(used) else density


def success_maps(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
) -> Figure:
    """Success density of every width and learning rate, one map per condition.

    Color: fraction of seeds that learned; hatched: not run; bar: upper edge of the critical rate,
    the largest at which at least `level` of the seeds learned. Raises `ValueError` for missing
    variables or dimensions.
    """
    require(dataset, dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    density = _trim_rates(success_density(ordered, accuracy, threshold))
    critical = critical_learning_rate(ordered, level, accuracy, threshold)
    shown = xr.Dataset({"density": density, "rate": critical["rate"]})
    columns = 0.28 * ordered.sizes["hidden"] + 1.0
    tall = min(max(2.6, 0.11 * density.sizes["learning_rate"] + 0.6), 4.6)
    figure, panels = condition_panels(shown, _WITHIN, width=max(3.0, columns), height=tall)
    for panel in panels:
        _draw_map(panel.axes, panel.data["density"], panel.data)
        panel.axes.set_xlabel(UNITS["hidden"] if panel.last_row else "")
        panel.axes.set_ylabel(UNITS["learning_rate"] if panel.first_column else "")
    scale = ScalarMappable(Normalize(0, 1), colormaps["cividis"])
    bar = figure.colorbar(scale, ax=figure.axes, shrink=0.6, aspect=22, pad=0.015)
    bar.set_label("fraction of seeds that learned", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
    handles: list[Artist] = [
        Line2D(
            [], [], color=_MARK, lw=_BAR, label=f"critical rate: at least {level:.0%} of the seeds"
        )
    ]
    if density.isnull().any():
        handles.append(Rectangle((0, 0), 1, 1, label="not run", **_NOT_RUN))
    side_by_side = 2 if any(not panel.first_column for panel in panels) else 1
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=side_by_side,
        fontsize=SMALL,
        frameon=False,
    )
    return figure


def network_maps(comparisons: Sequence[Comparison], variable: str = "dsa") -> Figure:
    """Networks in a plane, by multidimensional scaling of the distance `variable`.

    A row per comparison, whose panels share their scale, that of the bar; a column per level. Below
    each panel is its stress, as in `embedding_map`. Raises `ValueError` without a comparison.
    """
    found = require_some(comparisons)
    columns = max(len(comparison.levels) for comparison in found)
    figure, grid = new_figure(len(found), columns, 1.8, 1.8)
    for row, comparison in zip(grid, found, strict=True):
        placed = []
        for axes, data, level in zip(row, comparison.data, comparison.levels, strict=False):
            # Panels are too narrow for long names in one line.
            between = ": " if len(comparison.setting) < 9 else "\n"
            tidy(axes, f"{comparison.setting}{between}{level}")
            axes.set_aspect("equal")
            axes.set_xticks([])
            axes.set_yticks([])
            distances = data[variable].values
            if np.isfinite(np.diag(distances)).sum() < 2:
                note_empty(axes)
                continue
            places = embedding(distances)
            placed.append((axes, places))
            axes.plot(*places.T, ".", ms=6, color=CONDITION_COLORS[0], alpha=0.75)
            there = np.isfinite(np.diag(distances))
            measured = distances[np.ix_(there, there)]
            axes.set_xlabel(f"stress {stress(measured, places):.2f}", fontsize=SMALL, color=GREY)
        reach = 1.25 * max((np.abs(places).max() for _, places in placed), default=1.0) or 1.0
        if placed:
            unit = MEASURES[variable].unit if variable in MEASURES else ""
            scale_bar(placed[0][0], reach, unit, below=0.3)
        for axes in row[: len(comparison.levels)]:
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-1.3 * reach, reach)  # room for the bar
        for axes in row[len(comparison.levels) :]:
            axes.remove()
        row[0].set_ylabel(stack_title(comparison.title), fontsize=FONT, color=GREY)
    note = "stress: error of the distances in the plane, relative; 0 is exact, 0.2 is poor"
    figure.supxlabel(note, fontsize=SMALL, color=GREY)
    return figure


def draw_points(axes: Axes, attractors: Attractors, row: int) -> None:
    """Draws visited states and the points of one network in its plane."""
    plane, center = attractors.plane[row][:2], attractors.center[row]
    x, y = ((attractors.visited[row] - center) @ plane.T).T
    axes.plot(x, y, ".", ms=2, color=GREY, alpha=0.35, label="visited")
    found = attractors.found[row]
    x, y = ((found.points - center) @ plane.T).T
    kinds: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        (
            "unstable",
            found.fixed & ~found.stable,
            {"marker": "o", "markerfacecolor": "white", "color": CONDITION_COLORS[1]},
        ),
        ("stable", found.stable, {"marker": "o", "color": CONDITION_COLORS[0]}),
        # Last, since open circles would hide crosses under them.
        ("slow", ~found.fixed, {"marker": "x", "color": CONDITION_COLORS[2]}),
    )
    for name, chosen, style in kinds:
        if chosen.any():
            axes.plot(x[chosen], y[chosen], ls="", ms=5, label=name, **style)


def label_plane(axes: Axes, attractors: Attractors, row: int) -> None:
    """Labels the axes of a network's plane; call it when everything is drawn.

    A second component with hardly any variance has the scale of the first, so that states on a line
    look like one.
    """
    first, second = attractors.variance[row][:2]
    axes.set_xlabel(f"PC 1 ({first:.0%})", fontsize=SMALL)
    axes.set_ylabel(f"PC 2 ({second:.0%})", fontsize=SMALL)
    axes.set_xticks([])
    axes.set_yticks([])
    if second < _FLAT:
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_ylabel("PC 2 (under 1%),\nscale of PC 1", fontsize=SMALL)


def fixed_point_maps(populations: Mapping[str, Attractors]) -> Figure:
    """Fixed points (filled: stable, open: unstable) and slow points (crosses) of networks.

    Axes: the two leading principal components of the states visited in the task (grey), at one
    scale where the second has hardly any variance. A row per population, a column per network.
    Raises `ValueError` without a population, or without a network in any.
    """
    if not populations:
        raise ValueError("populations: expected at least one, got none")
    columns = max(len(one.found) for one in populations.values())
    if not columns:
        raise ValueError("populations: expected at least one network, got none")
    figure, grid = new_figure(len(populations), columns, 2.2, 2.1)
    for row, (name, attractors) in zip(grid, populations.items(), strict=True):
        for number, axes in enumerate(row):
            if number >= len(attractors.found):
                axes.remove()
                continue
            seed = f"seed {attractors.seeds[number]}"
            tidy(axes, f"{name}\n{seed}" if number == 0 else seed)
            draw_points(axes, attractors, number)
            label_plane(axes, attractors, number)
    handles = {}
    for axes in figure.axes:
        lines, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, lines, strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False,
        fontsize=SMALL,
    )  # fmt: skip
    return figure
