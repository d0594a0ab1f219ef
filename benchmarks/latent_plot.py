"""The figure of `latent_scaling.py`."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.plots.style import CONDITION_COLORS, GREY, SMALL, UNITS, log_ticks, new_figure, tidy

_BLUE, _RED, _GREEN, _PINK = CONDITION_COLORS[:4]

STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "latent": ("rnnjax latent", {"color": _BLUE, "marker": "o"}),
    "torch": ("PyTorch", {"color": _RED, "marker": "s"}),
    "low_rank": ("rnnjax low_rank", {"color": _GREEN, "marker": "^"}),
    "dense": ("rnnjax, W formed", {"color": _PINK, "marker": "D"}),
}
"""Label and style of every competitor."""


def _select(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [row for row in rows if name in row]


def _draw_times(axes: Axes, rows: list[dict[str, Any]]) -> None:
    for name, (label, style) in STYLES.items():
        timed = _select(rows, name)
        if not timed:
            continue
        values = [row[name]["ms_per_epoch"] for row in timed]
        hidden = [row["hidden"] for row in timed]
        low, middle, high = (np.array([v[key] for v in values]) for key in ("min", "median", "max"))
        axes.plot(hidden, middle, label=label, ms=4, lw=1.4, **style)
        axes.fill_between(hidden, low, high, color=style["color"], alpha=0.15, lw=0)
    floor = [row["floor_ms_per_epoch"] for row in rows]
    axes.plot([row["hidden"] for row in rows], floor, color=GREY, ls=":", label="floor: tanh alone")
    axes.set_ylabel("ms per epoch")


def _draw_memory(axes: Axes, rows: list[dict[str, Any]]) -> None:
    for name, (_, style) in STYLES.items():
        timed = _select(rows, name)
        peak = [row[name]["peak_bytes"] / 1e9 for row in timed]
        axes.plot([row["hidden"] for row in timed], peak, ms=4, lw=1.4, **style)
    axes.set_ylabel("peak memory, GB")


def scaling_figure(record: dict[str, Any]) -> Figure:
    """Milliseconds per epoch and peak memory against N."""
    rows = record["sizes"]
    figure, ((left, right),) = new_figure(1, 2, width=3.7, height=3.4)
    _draw_times(left, rows)
    _draw_memory(right, rows)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(UNITS["hidden"])
        log_ticks(axes, "x")
        log_ticks(axes, "y")
    tidy(left, "Time of one epoch")
    on_cpu = record["machine"]["platform"] == "cpu"
    tidy(right, "Memory of the process" if on_cpu else "Memory on the device")
    figure.legend(fontsize=SMALL, frameon=False, loc="outside lower center", ncols=5)

    machine, work = record["machine"], record["work"]
    figure.suptitle(
        f"{machine['device']}, {machine['cores']} cores; rank {work['rank']}, "
        f"{work['trials']} trials of {work['steps']} steps; medians, bands min to max",
        fontsize=SMALL,
        color=GREY,
    )
    return figure
