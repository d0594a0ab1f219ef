"""Layout of conditions (task, optimizer, ...) as panels of one figure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import MEASURES, Comparison, iterate_conditions
from rnnjax.plots.style import GREY, SMALL, name_condition, new_figure, tidy

__all__ = [
    "Column",
    "Panel",
    "comparison_columns",
    "condition_panels",
    "measure_label",
    "note_empty",
    "require_some",
    "stack_title",
]

_MOST_COLUMNS = 4
"""Columns that a page shows at a size that can be read."""


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
    """A new figure with a titled panel for each condition: a column per task.

    Raises `ValueError` if there is no condition.
    """
    conditions = list(iterate_conditions(dataset, within))
    if not conditions:
        empty = ", ".join(str(name) for name, size in dataset.sizes.items() if not size)
        raise ValueError(f"dataset: expected at least one condition, got none along {empty}")
    found, columns = _layout(dataset, conditions)
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


class Column(NamedTuple):
    """The panels of one comparison, from top to bottom."""

    panels: list[Axes]
    comparison: Comparison
    leftmost: bool
    """Whether it is the first of its block."""
    last: bool
    """Whether it is the last of its block."""


def comparison_columns(
    comparisons: Sequence[Comparison], rows: int, width: float, height: float
) -> tuple[Figure, list[Column]]:
    """A new figure with a column of `rows` titled panels for each comparison.

    Beyond four columns, they go on in further blocks of rows, of about as many columns each.
    """
    count = len(comparisons)
    blocks = -(-count // _MOST_COLUMNS)
    columns = -(-count // blocks)
    figure, grid = new_figure(blocks * rows, columns, width, height)
    found = []
    for number in range(blocks * columns):
        block, place = divmod(number, columns)
        panels = list(grid[block * rows : (block + 1) * rows, place])
        if number >= count:
            for axes in panels:
                axes.remove()
            continue
        one = comparisons[number]
        for axes in panels:
            tidy(axes, f"{stack_title(one.title)}\n{one.setting}" if axes is panels[0] else "")
        last = place == columns - 1 or number == count - 1
        found.append(Column(panels, one, place == 0, last))
    return figure, found


def measure_label(measure: str) -> str:
    """Axis label of a measure; a spread is drawn as the robust standard deviation."""
    chosen = MEASURES[measure]
    return f"robust {chosen.label}" if chosen.statistic == "spread" else chosen.label


def note_empty(axes: Axes, reason: str = "no data") -> None:
    """Marks a panel as empty, with the reason."""
    axes.set_xticks([], minor=False)
    axes.set_yticks([], minor=False)
    axes.minorticks_off()
    axes.spines[:].set_visible(False)
    axes.text(
        0.5,
        0.5,
        reason,
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
