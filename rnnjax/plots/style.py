"""Fonts, colors and labels shared by every figure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from matplotlib.typing import ColorType

__all__ = [
    "CONDITION_COLORS",
    "CONDITION_LINES",
    "CONDITION_MARKERS",
    "FONT",
    "GREY",
    "SMALL",
    "UNITS",
    "Look",
    "condition_look",
    "contrast_color",
    "layout_engine",
    "legend_beside",
    "log_ticks",
    "name_condition",
    "name_value",
    "new_figure",
    "ordered_colors",
    "plain_number",
    "plain_numbers",
    "signed",
    "size_ticks",
    "slope_text",
    "tidy",
]

CONDITION_COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00",
    "#000000", "#8C564B", "#999999", "#7A3FB0",
)  # fmt: skip
"""Colors that readers with color blindness can tell apart (the first six, Okabe and Ito 2008)."""

CONDITION_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<")
"""One fewer than colors, so that condition 11 differs from the first in its marker as well."""

CONDITION_LINES = ("-", "--", "-.", ":")

GREY = "#6b6b6b"

FONT = 9.0
"""Size of titles and axis labels in points."""

SMALL = 7.5
"""Size of ticks, legends and notes in points."""

UNITS = {"hidden": "network size N", "learning_rate": "learning rate", "step": "training step"}
"""Axis labels of the sweep's dimensions."""

_NAMES = {
    "adam": "Adam", "sgd": "SGD", "mup": "muP",
    "gru": "GRU", "lstm": "LSTM", "mgu": "MGU", "lru": "LRU",
}  # fmt: skip
"""Spelling of words that are not merely capitalized."""

_TIMES = "\N{MULTIPLICATION SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def name_value(value: object) -> str:
    """A coordinate's value as text: `delayed_cue` -> `Delayed cue`, `mup_sgd` -> `muP SGD`."""
    if not isinstance(value, str):
        return f"{value:g}" if isinstance(value, float) else str(value)
    first, *rest = value.split("_")
    words = [_NAMES.get(first, first[:1].upper() + first[1:]), *(_NAMES.get(w, w) for w in rest)]
    return " ".join(words)


def name_condition(labels: Mapping[str, object]) -> str:
    """A condition's coordinates as one title: task, cell, optimizer, then the rest with names."""
    first = [name for name in ("task", "cell", "optimizer") if name in labels]
    parts = [f"{name} = {value}" for name, value in labels.items() if name not in first]
    return ", ".join([*(name_value(labels[name]) for name in first), *parts])


def plain_number(value: float, digits: int = 1) -> str:
    """A positive number rounded to `digits` digits: `0.03`, `30`, `3×10⁻⁴`, `10⁻⁵`."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power, mantissa = int(exponent), f"{float(mantissa):g}"
    if -3 <= power <= 4:
        return np.format_float_positional(float(f"{mantissa}e{power}"), trim="-")
    tail = "10" + str(power).translate(_SUPERSCRIPTS)
    return tail if mantissa == "1" else f"{mantissa}{_TIMES}{tail}"


def signed(value: float) -> str:
    """An exponent with its sign and two decimals; zero has no sign."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("+0.00", "0.00")


def slope_text(fit: xr.Dataset) -> str:
    """A fitted exponent and, where it has one, its interval: `+0.50 [+0.41, +0.60]`."""
    slope, low, high = (float(fit[f"exponent{end}"]) for end in ("", "_low", "_high"))
    return signed(slope) + ("" if np.isnan(low) else f" [{signed(low)}, {signed(high)}]")


def plain_numbers(values: Sequence[float], least: int = 1) -> list[str]:
    """`plain_number` of each, with as few digits (`least` to 3) as keep different values apart."""
    texts: list[str] = []
    for digits in range(least, 4):
        texts = [plain_number(float(value), digits) for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts


class Look(NamedTuple):
    """How a condition is drawn."""

    color: str
    marker: str
    line: str
    """Dashes, which change after as many conditions as there are colors."""


def condition_look(number: int) -> Look:
    """The look of condition `number`, counted from 0: different ones for the first 90."""
    return Look(
        CONDITION_COLORS[number % len(CONDITION_COLORS)],
        CONDITION_MARKERS[number % len(CONDITION_MARKERS)],
        CONDITION_LINES[number // len(CONDITION_COLORS) % len(CONDITION_LINES)],
    )


def ordered_colors(count: int) -> list:
    """`count` colors of one perceptually uniform map, from dark to light."""
    return [colormaps["viridis"](place) for place in np.linspace(0.0, 0.78, max(count, 1))][:count]


def contrast_color(background: ColorType) -> str:
    """White or black, whichever has the higher contrast (WCAG 2) against `background`."""
    rgb = np.array(to_rgb(background))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if luminance < 0.179 else "black"


def new_figure(
    rows: int, columns: int, width: float = 3.3, height: float = 2.7
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` panels, `width` x `height` inches each, outside pyplot."""
    figure = Figure(figsize=(width * columns + 0.3, height * rows + 0.3), layout="constrained")
    layout_engine(figure).set(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.03)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, axes


def layout_engine(figure: Figure) -> ConstrainedLayoutEngine:
    """The layout engine of a figure of `new_figure`."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    return engine


def tidy(axes: Axes, title: str) -> None:
    """Sets title and ticks in the shared fonts; removes the grid and the top and right spines."""
    axes.set_title(title, fontsize=FONT, fontweight="bold", loc="left")
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.label.set_fontsize(FONT)
    axes.yaxis.label.set_fontsize(FONT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(False)


def legend_beside(axes: Axes, title: str, handles: Sequence[Artist] | None = None) -> None:
    """Puts a legend in small type to the right of the axes: of what is drawn, or of `handles`."""
    axes.legend(
        handles=axes.get_legend_handles_labels()[0] if handles is None else handles,
        title=title,
        fontsize=SMALL,
        title_fontsize=SMALL,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        handlelength=1.4,
        alignment="left",
        labelspacing=0.3,
    )


_LOG_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
"""Ticks per decade, from long spans to short ones."""


def _round_values(low: float, high: float) -> np.ndarray:
    """Round numbers within [low, high], more per decade in a shorter span; at least three."""
    decades = np.log10(high / low)
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    candidates = [
        np.array([step * 10.0**power for power in powers for step in steps])
        for steps in _LOG_STEPS[int(np.sum(decades < np.array([3.6, 2, 0.9]))) :]
    ]
    finest = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(low, high)
    candidates.append(np.asarray(finest))
    inside = [v[(v >= low * 0.999) & (v <= high * 1.001)] for v in candidates]
    return next((values for values in inside if len(values) >= 3), inside[-1])


def log_ticks(axes: Axes, which: str) -> None:
    """Puts plain numbers (0.03, 100) on the logarithmic axis `which` (`"x"` or `"y"`)."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    if high < 1.5 * low:  # too short for ticks, as around a single value
        low, high = low / 1.5, high * 1.5
        (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    ticks = _round_values(low, high)
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([plain_number(float(tick), 3) for tick in ticks])


def size_ticks(axes: Axes, sizes: Sequence[int]) -> None:
    """Puts ticks at the network sizes on a logarithmic x axis, which covers all of them."""
    every = 1 if len(sizes) <= 8 else 2
    low, high = axes.dataLim.intervalx  # infinite without data
    margin = (sizes[-1] / sizes[0]) ** 0.05 if sizes[0] < sizes[-1] else 2.0
    axes.set_xlim(min(low, sizes[0]) / margin, max(high, sizes[-1]) * margin)
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes[::every]]))
    axes.xaxis.set_minor_locator(FixedLocator([float(size) for size in sizes]))
    axes.set_xticklabels([str(size) for size in sizes[::every]])
    axes.tick_params(axis="x", which="minor", labelbottom=False)
