"""The figure of `metrics.py`."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.plots.style import (
    CONDITION_COLORS,
    GREY,
    SMALL,
    log_ticks,
    new_figure,
    plain_number,
    tidy,
)

_BLUE, _RED, _GREEN, _PINK, _SKY, _ORANGE = CONDITION_COLORS[:6]

STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("rnnjax", {"color": _BLUE, "marker": "o"}),
    "dsa_metric": ("dsa-metric", {"color": _RED, "marker": "s"}),
    "scipy_faq": ("scipy FAQ, equal starts", {"color": _RED, "marker": "s"}),
    "procrustes_umeyama": ("qc-procrustes, Umeyama", {"color": _GREEN, "marker": "^"}),
    "procrustes_nmf": ("qc-procrustes, NMF", {"color": _PINK, "marker": "D"}),
    "numpy_svcca": ("NumPy, pair by pair", {"color": _RED, "marker": "s"}),
}
"""Label and style of every competitor."""

_TIMES = "\N{MULTIPLICATION SIGN}"


def _title(row: dict[str, Any], work: dict[str, Any]) -> str:
    if row["metric"] == "dsa":
        return f"DSA, operators {row['rank']} {_TIMES} {row['rank']}"
    if row["metric"] == "pif":
        return f"Weights up to relabelling, {work['starts']} starts"
    return "SVCCA"


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{plain_number(seconds / size, 2)} {unit}"
    return f"{plain_number(seconds / 1e-6, 2)} µs"


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    """Writes small text to the right of a mark."""
    axes.annotate(
        text, (x, y), (6, 0), textcoords="offset points", va="center", fontsize=SMALL, color=GREY
    )


def _rows(record: dict[str, Any]) -> tuple[list[tuple[float, dict[str, Any], str]], list, list]:
    """Height of every competitor of every case; heights and texts of all labels."""
    marks, heights, labels = [], [], []
    height = 0.0
    for case in record["contests"]:
        heights.append(height)
        labels.append(_title(case, record["work"]))
        for name in STYLES:
            if name in case:
                height -= 1.0
                marks.append((height, case, name))
                heights.append(height)
                labels.append(STYLES[name][0])
        height -= 1.4
    return marks, heights, labels


def _draw_times(axes: Axes, marks: list[tuple[float, dict[str, Any], str]]) -> None:
    for height, case, name in marks:
        seconds, style = case[name]["seconds_per_pair"], STYLES[name][1]
        axes.plot([seconds["min"], seconds["max"]], [height, height], color=style["color"], lw=2.5)
        axes.plot(seconds["median"], height, ms=5.5, ls="", **style)
        text = _duration(seconds["median"])
        if name in case["ratios"]:
            ratio = case["ratios"][name]["median"]
            text += f", {plain_number(ratio, 3 if ratio >= 100 else 2)}{_TIMES} ours"
        _beside(axes, max(seconds["max"], seconds["median"]), height, text)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.35)  # room for the text
    log_ticks(axes, "x")
    axes.set_xlabel("seconds per pair, whole machine")


def _draw_distances(axes: Axes, marks: list[tuple[float, dict[str, Any], str]]) -> None:
    furthest = 1.0
    for height, case, name in marks:
        reached, ours = (case[key]["mean_distance"] for key in (name, "ours"))
        axes.plot(reached / ours, height, ms=5.5, ls="", **STYLES[name][1])
        _beside(axes, reached / ours, height, f"{reached:.3f}")
        furthest = max(furthest, reached / ours)
    axes.axvline(1.0, color=GREY, ls=":", lw=0.8, zorder=0)
    width = max(furthest - 1.0, 0.02)
    axes.set_xlim(min(axes.get_xlim()[0], 1 - 0.1 * width), 1 + 1.35 * width)
    axes.set_xlabel("mean distance reached, over ours")


def metrics_figure(record: dict[str, Any]) -> Figure:
    """Seconds per pair of all competitors, and the distances that they reach."""
    marks, heights, labels = _rows(record)
    figure, ((left, right),) = new_figure(1, 2, width=4.0, height=0.2 * len(heights) + 1.2)
    _draw_times(left, marks)
    _draw_distances(right, marks)
    tidy(left, "Time of a pair")
    tidy(right, "Distance on the same pairs")
    for axes in (left, right):
        axes.set_ylim(min(heights) - 0.7, max(heights) + 0.5)
        axes.set_yticks(heights, labels if axes is left else [""] * len(heights))
        axes.tick_params(axis="y", length=0)
    standing = {height for height, _, _ in marks}
    for height, tick in zip(heights, left.get_yticklabels(), strict=True):
        if height not in standing:
            tick.set_fontweight("bold")

    machine, work = record["machine"], record["work"]
    pairs = np.sum([row["pairs_per_window"] for row in record["contests"][:1]])
    figure.suptitle(
        f"{machine['device']}, {machine['cores']} cores; {work['contestants']} networks of "
        f"N = {work['hidden']}; medians of {record['timing']['repeats']} windows "
        f"(DSA: {pairs} pairs each), bars min to max",
        fontsize=SMALL,
        color=GREY,
    )
    return figure
