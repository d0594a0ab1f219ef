"""Figures of kinds of solutions: their shares by level, and one network of each."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from rnnjax.analysis import Attractors
from rnnjax.plots.maps import draw_points, label_plane
from rnnjax.plots.style import CONDITION_COLORS, SMALL, contrast_color, new_figure, tidy
from rnnjax.typing import Float
from rnnjax.validate import instance_of

__all__ = ["Representative", "kind_shares", "solution_gallery"]


class Representative(NamedTuple):
    """One network of a kind."""

    attractors: Attractors
    """Its fixed and slow points; of one network."""
    runs: Float[np.ndarray, "M T N"]
    """Where its runs under the constant input end."""


def kind_shares(found: Mapping[str, xr.Dataset], setting: str = "") -> Figure:
    """Share of each kind of solution at every level, a panel per name.

    Figures count kinds from 1, datasets from 0: kind k of the figure is `kind == k - 1`.

    Args:
        found: results of `rnnjax.analysis.solutions`, by name.
        setting: what the levels are levels of.

    Raises:
        ValueError: no results.
    """
    if not found:
        raise ValueError("found: expected at least one result of solutions, got none")
    figure, grid = new_figure(1, len(found), 2.6, 2.2)
    for axes, (name, one) in zip(grid[0], found.items(), strict=True):
        counts = instance_of("found", one, xr.Dataset)["count"].values.astype(float)
        shares = counts / np.maximum(counts.sum(0), 1)
        levels = [str(level) for level in one["levels"].values]
        tidy(axes, name)
        bottom = np.zeros(len(levels))
        for kind, row in enumerate(shares):
            color = CONDITION_COLORS[kind % len(CONDITION_COLORS)]
            axes.bar(levels, row, 0.7, bottom=bottom, color=color, label=f"kind {kind + 1}")
            for place, (share, start) in enumerate(zip(row, bottom, strict=True)):
                if share:
                    axes.text(
                        place, start + share / 2, f"{counts[kind, place]:.0f}", ha="center",
                        va="center", color=contrast_color(color), fontsize=SMALL,
                    )  # fmt: skip
            bottom += row
        axes.set_ylim(0, 1)
        axes.set_xlabel(setting)
        axes.set_ylabel("share of networks" if axes is grid[0, 0] else "")
        axes.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def solution_gallery(chosen: Mapping[str, Mapping[str, Representative]]) -> Figure:
    """One network of each kind, a row per task and a column per kind.

    Axes and points as in `fixed_point_maps`; lines: where runs under the constant input end, if
    they still move.

    Args:
        chosen: representatives by task and kind.

    Raises:
        ValueError: no task, or a task without a kind.
    """
    if not chosen or not all(chosen.values()):
        raise ValueError("chosen: expected at least one kind for every task, got none")
    columns = max(map(len, chosen.values()))
    figure, grid = new_figure(len(chosen), columns, 2.6, 2.2)
    drawn = {}
    for row, (task, kinds) in zip(grid, chosen.items(), strict=True):
        for axes, (name, one) in zip(row, kinds.items(), strict=False):
            tidy(axes, f"{task}\n{name}")
            draw_points(axes, one.attractors, 0)
            plane, center = one.attractors.plane[0][:2], one.attractors.center[0]
            for run in one.runs:
                x, y = ((run - center) @ plane.T).T
                if max(np.ptp(x), np.ptp(y)) > 1e-2 * np.abs(axes.dataLim.bounds[2:]).max():
                    axes.plot(x, y, color=CONDITION_COLORS[3], lw=0.8, label="moving", zorder=1)
            label_plane(axes, one.attractors, 0)
            handles, labels = axes.get_legend_handles_labels()
            drawn |= dict(zip(labels, handles, strict=True))
        for axes in row[len(kinds) :]:
            axes.remove()
    figure.legend(
        drawn.values(), drawn.keys(), loc="outside lower center", ncols=min(len(drawn), 3),
        frameon=False, fontsize=SMALL,
    )  # fmt: skip
    return figure
