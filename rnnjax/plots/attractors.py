"""Fixed points among the states that networks visit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis.rest import Attractors
from rnnjax.plots.style import CONDITION_COLORS, GREY, SMALL, new_figure, tidy

__all__ = ["fixed_point_maps"]


def _draw(axes: Axes, attractors: Attractors, row: int) -> None:
    plane, center = attractors.plane[row][:2], attractors.center[row]
    x, y = ((attractors.visited[row] - center) @ plane.T).T
    axes.plot(x, y, ".", ms=2, color=GREY, alpha=0.35, label="visited")
    found = attractors.found[row]
    x, y = ((found.points - center) @ plane.T).T
    kinds: tuple[tuple[str, np.ndarray, dict[str, Any]], ...] = (
        ("slow", ~found.fixed, {"marker": "x", "color": CONDITION_COLORS[2]}),
        (
            "unstable",
            found.fixed & ~found.stable,
            {"marker": "o", "markerfacecolor": "white", "color": CONDITION_COLORS[1]},
        ),
        ("stable", found.stable, {"marker": "o", "color": CONDITION_COLORS[0]}),
    )
    for name, chosen, style in kinds:
        if chosen.any():
            axes.plot(x[chosen], y[chosen], ls="", ms=5, label=name, **style)


def fixed_point_maps(populations: Mapping[str, Attractors]) -> Figure:
    """Fixed points (filled: stable, open: unstable) and slow points (crosses) of networks.

    Plane: the two leading principal components of the states visited in the task (grey). A row per
    population, a column per network. Raises `ValueError` without a population.
    """
    if not populations:
        raise ValueError("populations: expected at least one, got none")
    columns = max(len(one.found) for one in populations.values())
    figure, grid = new_figure(len(populations), columns, 2.2, 2.1)
    for row, (name, attractors) in zip(grid, populations.items(), strict=True):
        for number, axes in enumerate(row):
            if number >= len(attractors.found):
                axes.remove()
                continue
            seed = f"seed {attractors.seeds[number]}"
            tidy(axes, f"{name}\n{seed}" if number == 0 else seed)
            _draw(axes, attractors, number)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(f"PC 1 ({attractors.variance[number, 0]:.0%})", fontsize=SMALL)
            axes.set_ylabel(f"PC 2 ({attractors.variance[number, 1]:.0%})", fontsize=SMALL)
    handles = {}
    for axes in figure.axes:
        lines, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, lines, strict=True))
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False,
        fontsize=SMALL,
    )  # fmt: skip
    return figure
