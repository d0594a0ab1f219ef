"""Layout of conditions (task, optimizer, ...) as panels of one figure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import Comparison, iterate_conditions
from rnnjax.plots.style import GREY, SMALL, name_condition, new_figure, tidy

__all__ = ["Panel", "condition_panels", "note_empty", "require_some", "stack_title"]


class Panel(NamedTuple):
    """Axes and data of one condition."""

    axes: Axes
    labels: dict[str, object]
    data: xr.Dataset
    first_column: bool
    last_row: bool


def _layout(dataset: xr.Dataset, found: list) -> tuple[list, int]:
    """Conditions in reading order, and the number of columns: one per task, else at most two."""
    tasks = list(dataset["task"].values) if "task" in dataset.dims else []
    if not tasks:
        columns = min(len(found), 2)
        return found, columns
    per_task = [[item for item in found if item[0]["task"] == task] for task in tasks]
    return [item for row in zip(*per_task, strict=True) for item in row], len(tasks)


def condition_panels(
    dataset: xr.Dataset, within: Iterable[str], width: float, height: float
) -> tuple[Figure, list[Panel]]:
    """A new figure with a titled panel for each condition: a column per task."""
    found, columns = _layout(dataset, list(iterate_conditions(dataset, within)))
    rows = -(-len(found) // columns)
    figure, grid = new_figure(rows, columns, width, height)
    panels = []
    for number, (labels, part) in enumerate(found):
        axes = grid.flat[number]
        lowest = number + columns >= len(found)
        panels.append(Panel(axes, labels, part, number % columns == 0, lowest))
        tidy(axes, name_condition(labels))
    for axes in grid.flat[len(found) :]:
        axes.remove()
    return figure, panels


def note_empty(axes: Axes) -> None:
    """Marks a panel as empty."""
    axes.set_xticks([], minor=False)
    axes.set_yticks([], minor=False)
    axes.minorticks_off()
    axes.spines[:].set_visible(False)
    axes.text(
        0.5,
        0.5,
        "no data",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=GREY,
        fontsize=SMALL,
    )


def stack_title(title: str) -> str:
    """`title` with a line break before its parentheses, for narrow panels."""
    return title.replace(" (", "\n(")


def require_some(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """`comparisons` as a list; raises `ValueError` if there are none."""
    found = list(comparisons)
    if not found:
        raise ValueError("comparisons: expected at least one, got none")
    return found
