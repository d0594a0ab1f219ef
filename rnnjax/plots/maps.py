"""Which learning rates train which widths: maps of the success density (paper, Fig. 2)."""

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from rnnjax.analysis import critical_learning_rate, require, success_density
from rnnjax.plots.panels import condition_panels
from rnnjax.plots.style import CONDITION_COLORS, SMALL, UNITS, plain_number, plain_numbers

__all__ = ["success_maps"]

_WITHIN = ("hidden", "learning_rate", "seed", "step")
_MARK = CONDITION_COLORS[1]
_NOT_RUN = {"fc": "#e9e9e9", "ec": "#bdbdbd", "hatch": "////", "lw": 0}
_MOST_LABELS = 11
_BAR = 2.2


def _rate_labels(rates: np.ndarray) -> tuple[list[int], list[str]]:
    """Positions and texts of the rate axis: every rate, or half or whole decades of a fine grid."""
    if len(rates) <= _MOST_LABELS:
        return list(range(len(rates))), plain_numbers([float(rate) for rate in rates])
    for per_decade in (2, 1):
        places = np.log10(rates) * per_decade
        chosen = [int(i) for i in np.nonzero(np.abs(places - np.round(places)) < 0.02)[0]]
        if 2 <= len(chosen) <= _MOST_LABELS:
            return chosen, [plain_number(float(rates[i])) for i in chosen]
    chosen = [int(i) for i in np.linspace(0, len(rates) - 1, 7)]
    return chosen, plain_numbers([float(rates[i]) for i in chosen])


def _draw_map(axes: Axes, density: xr.DataArray, critical: xr.Dataset) -> None:
    values = density.transpose("learning_rate", "hidden").values
    rates, sizes = density["learning_rate"].values, density["hidden"].values
    height, width = values.shape
    bar = _BAR if height <= _MOST_LABELS else _BAR / 2
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, zorder=0, **_NOT_RUN))
    axes.imshow(
        np.ma.masked_invalid(values), origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=1
    )
    for column, rate in enumerate(critical["rate"].values):
        if not np.isnan(rate):
            row = int(np.nonzero(rates == rate)[0][0])
            axes.plot(
                [column - 0.5, column + 0.5], [row + 0.5] * 2, color=_MARK, lw=bar, clip_on=False
            )
    positions, texts = _rate_labels(rates)
    axes.set_yticks(positions, texts)
    axes.set_xticks(range(width), [str(size) for size in sizes])
    axes.tick_params(axis="x", rotation=45 if width > 7 else 0, length=0)
    axes.tick_params(axis="y", length=2)
    axes.spines[:].set_visible(False)


def _trimmed(density: xr.DataArray) -> xr.DataArray:
    """Without the rates below the smallest and above the largest that any condition was run at."""
    others = [name for name in density.dims if name != "learning_rate"]
    used = np.nonzero(density.notnull().any(others).values)[0]
    return density.isel(learning_rate=slice(used[0], used[-1] + 1)) if len(used) else density


def success_maps(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
) -> Figure:
    """Success density of every width and learning rate, one map per condition (Fig. 2).

    Color: fraction of seeds that learned. Hatched: not run. Bar: upper edge of the critical rate,
    the largest at which at least `level` of the seeds learned. Raises `ValueError` for missing
    variables or dimensions.
    """
    require(dataset, dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    density = _trimmed(success_density(ordered, accuracy, threshold))
    critical = critical_learning_rate(ordered, level, accuracy, threshold)
    shown = xr.Dataset({"density": density, "rate": critical["rate"]})
    columns = 0.28 * ordered.sizes["hidden"] + 1.0
    tall = min(max(2.6, 0.11 * density.sizes["learning_rate"] + 0.6), 4.6)
    figure, panels = condition_panels(shown, _WITHIN, width=max(3.0, columns), height=tall)
    for panel in panels:
        _draw_map(panel.axes, panel.data["density"], panel.data)
        panel.axes.set_xlabel(UNITS["hidden"] if panel.last_row else "")
        panel.axes.set_ylabel(UNITS["learning_rate"] if panel.first_column else "")
    scale = ScalarMappable(Normalize(0, 1), colormaps["cividis"])
    bar = figure.colorbar(scale, ax=figure.axes, shrink=0.6, aspect=22, pad=0.015)
    bar.set_label("fraction of seeds that learned", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)  # pyright: ignore
    handles: list[Artist] = [
        Line2D(
            [], [], color=_MARK, lw=_BAR, label=f"critical rate: at least {level:.0%} of the seeds"
        )
    ]
    if density.isnull().any():
        handles.append(Rectangle((0, 0), 1, 1, label="not run", **_NOT_RUN))
    side_by_side = 1 if len(panels) == 1 else 2
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=side_by_side,
        fontsize=SMALL,
        frameon=False,
    )
    return figure
