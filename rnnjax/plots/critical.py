"""Critical learning rate against network size, with the fitted power law."""

import xarray as xr
from matplotlib.figure import Figure

from rnnjax.analysis import critical_learning_rate, power_law, require
from rnnjax.plots.panels import condition_panels, note_empty
from rnnjax.plots.series import draw_series, legends_below, share_rates
from rnnjax.plots.style import UNITS, size_ticks

__all__ = ["critical_rates"]

_ALL = ("hidden", "learning_rate", "seed", "step", "resample")


def critical_rates(
    dataset: xr.Dataset,
    *,
    level: float = 0.5,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    fit: xr.Dataset | None = None,
) -> Figure:
    """Critical learning rate against network size on log-log axes, with its power law.

    One panel per task; colors are the other conditions. Bar: from the critical rate to the next
    larger evaluated rate, with a point at its geometric middle; open arrows: censored at the edge
    of the grid and not fitted; crosses at the bottom: sizes that trained at no rate; line and band:
    `power_law` and the 95% range of its refits. `fit` reuses a `power_law` computed with the same
    arguments. Raises `ValueError` for missing variables or dimensions.
    """
    require(dataset, dims=["hidden", "learning_rate", "seed"])
    ordered = dataset.sortby(["hidden", "learning_rate"])
    found = critical_learning_rate(ordered, level, accuracy, threshold)
    fit = power_law(ordered, level, accuracy, threshold) if fit is None else fit
    others = [str(name) for name in found.dims if name not in ("task", *_ALL)]
    figure, panels = condition_panels(found, (*_ALL, *others), width=4.2, height=3.4)
    drawn = []
    for panel in panels:
        panel.axes.set_xscale("log")
        panel.axes.set_yscale("log")
        here = {name: value for name, value in panel.labels.items() if name in fit.dims}
        if not draw_series(panel.axes, panel.data, fit.sel(here)):
            note_empty(panel.axes)
            continue
        drawn.append(panel.axes)
        size_ticks(panel.axes, [int(size) for size in found["hidden"]])
        panel.axes.set_xlabel(UNITS["hidden"])
        panel.axes.set_ylabel("critical learning rate" if panel.first_column else "")
    legends_below(figure, drawn)
    share_rates(drawn)
    return figure
