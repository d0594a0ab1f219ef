"""Texts and panels of drawn figures, for the tests of figures."""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["EMPTY", "drawn", "labels", "legends", "panels", "texts", "titles"]

EMPTY = "no data"
"""Text of a panel without data."""


def drawn(figure: Figure) -> Figure:
    """Renders `figure`: layout faults and missing glyphs are warnings, and warnings are errors."""
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def panels(figure: Figure) -> list[Axes]:
    """All axes but color bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def titles(figure: Figure) -> list[str]:
    """Titles of the panels that have one."""
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def legends(figure: Figure) -> list[str]:
    """Entries of the panels' legends."""
    found = [axes.get_legend() for axes in figure.axes]
    return [text.get_text() for legend in found if legend for text in legend.get_texts()]


def texts(axes: Axes) -> list[str]:
    """Texts written inside a panel."""
    return [text.get_text() for text in axes.texts]


def labels(axes: Axes, which: str = "x") -> list[str]:
    """Texts of the ticks of an axis."""
    ticks = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    return [tick.get_text() for tick in ticks]
