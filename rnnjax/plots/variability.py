"""Mean distances within ensembles of networks beside that of recorded animals."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from rnnjax.plots.distances import distance_title
from rnnjax.plots.style import CONDITION_COLORS, GREY, SMALL, new_figure, tidy
from rnnjax.validate import instance_of

__all__ = ["matched_variability"]


def matched_variability(found: xr.Dataset) -> Figure:
    """Mean distance within every ensemble with its interval; the recordings are a grey band.

    The intervals, the band among them, have the confidence of `MatchOptions`, 95% unless set.
    Beside every ensemble: the probability that it is the nearest. `found` is that of
    `rnnjax.analysis.match_variability`; raises `ValueError` for something else.
    """
    if "nearest" not in instance_of("found", found, xr.Dataset):
        raise ValueError("found: expected the dataset of match_variability, got another one")
    names = [str(name) for name in found["ensemble"].values]
    figure, grid = new_figure(1, 1, 3.4, 0.8 + 0.32 * len(names))
    axes = grid[0, 0]
    tidy(axes, "")
    animals = found.sel(group="recordings")
    low, high = (float(animals[f"distance_{end}"]) for end in ("low", "high"))
    axes.axvspan(low, high, color=GREY, alpha=0.2, lw=0, label="recordings")
    axes.axvline(float(animals["distance"]), color=GREY, lw=1)
    for row, name in enumerate(names):
        one = found.sel(group=name)
        middle = float(one["distance"])
        ends = [float(one[f"distance_{end}"]) for end in ("low", "high")]
        color = CONDITION_COLORS[row % len(CONDITION_COLORS)]
        axes.plot(ends, [row, row], color=color, lw=1.6)
        axes.plot(middle, row, "o", color=color, ms=5)
        share = float(found["nearest"].sel(ensemble=name))
        text = "nearest: unknown" if np.isnan(share) else f"nearest: {share:.0%}"
        axes.annotate(
            text, (1.02, row), xycoords=("axes fraction", "data"),
            va="center", fontsize=SMALL,
        )  # fmt: skip
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(f"{distance_title(found['distances'])}, mean over pairs")
    axes.legend(fontsize=SMALL, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
