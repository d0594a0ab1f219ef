"""The figure of `sweep_throughput.py`."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.plots.style import CONDITION_COLORS, GREY, SMALL, UNITS, new_figure, size_ticks, tidy

_BLUE, _RED, _GREEN = CONDITION_COLORS[:3]

STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "ours_leaky": ("rnnjax, leaky", {"color": _BLUE, "marker": "o"}),
    "ours_vanilla": ("rnnjax, alpha = 1", {"color": _BLUE, "marker": "o", "mfc": "w", "ls": "--"}),
    "ours_sequential": ("rnnjax, runs in turn", {"color": _GREEN, "marker": "^"}),
    "torch_loop": ("PyTorch loop, leaky", {"color": _RED, "marker": "s"}),
    "torch_fused": (
        "PyTorch nn.RNN, alpha = 1",
        {"color": _RED, "marker": "s", "mfc": "w", "ls": "--"},
    ),
}
"""Label and style of every competitor; open marks are the vanilla network."""


def _draw(axes: Axes, rows: list[dict[str, Any]], quantity: str, *, labelled: bool) -> None:
    hidden = [row["hidden"] for row in rows]
    for name, (label, style) in STYLES.items():
        if name not in rows[0]:
            continue
        values = [row[name][quantity] for row in rows]
        low, middle, high = (np.array([v[key] for v in values]) for key in ("min", "median", "max"))
        axes.plot(hidden, middle, label=label if labelled else None, ms=4, lw=1.4, **style)
        axes.fill_between(hidden, low, high, color=style["color"], alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.set_xlabel(UNITS["hidden"])
    size_ticks(axes, hidden)


def throughput_figure(record: dict[str, Any]) -> Figure:
    """Run-steps per second against N, and the fraction of the floor reached."""
    rows = record["widths"]
    figure, ((left, right),) = new_figure(1, 2, width=3.7, height=3.4)
    _draw(left, rows, "run_steps_per_second", labelled=True)
    floor = [row["floor"]["run_steps_per_second"] for row in rows]
    left.plot([row["hidden"] for row in rows], floor, color=GREY, ls=":", label="floor")
    left.set_yscale("log")
    left.set_ylabel("run-steps per second")
    figure.legend(fontsize=SMALL, frameon=False, loc="outside lower center", ncols=3)
    tidy(left, "Training throughput")

    _draw(right, rows, "fraction_of_floor", labelled=False)
    right.axhline(1.0, color=GREY, ls=":")
    right.set_ylim(0, 1.05)
    on_cpu = record["machine"]["platform"] == "cpu"
    right.set_ylabel("fraction of matrix-product peak" if on_cpu else "fraction of floor")
    tidy(right, "Use of the machine")

    machine, work = record["machine"], record["work"]
    figure.suptitle(
        f"{machine['device']}, {machine['cores']} cores; "
        f"{work['trials']} trials of {work['steps']} steps; medians, bands min to max",
        fontsize=SMALL,
        color=GREY,
    )
    return figure
