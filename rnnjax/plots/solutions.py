"""Figures of kinds of solutions: their shares by level, and one network of each."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from rnnjax.plots.style import CONDITION_COLORS, SMALL, new_figure, tidy
from rnnjax.validate import instance_of

__all__ = ["kind_shares"]


def kind_shares(found: Mapping[str, xr.Dataset]) -> Figure:
    """Share of each kind of solution at every level, a panel per name.

    Args:
        found: results of `rnnjax.analysis.solutions`, by name.

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
                    count = f"{counts[kind, place]:.0f}"
                    axes.text(place, start + share / 2, count, ha="center", va="center",
                              color="white", fontsize=SMALL)  # fmt: skip
            bottom += row
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of networks" if axes is grid[0, 0] else "")
        axes.legend(frameon=False, fontsize=SMALL, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
