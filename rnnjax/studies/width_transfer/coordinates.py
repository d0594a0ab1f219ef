"""The coordinate checks of several width rules as a section of a page."""

import numpy as np
import xarray as xr

from rnnjax.analysis import iterate_conditions
from rnnjax.plots import coordinate_check
from rnnjax.plots.style import name_condition, plain_number, signed
from rnnjax.report.page import Picture, Section, Table
from rnnjax.training.coordinates import MEASURES, seeds_left_out

__all__ = ["coordinate_section"]


def coordinate_section(checks: xr.Dataset) -> Section:
    """The section on coordinate checks: the effect of a few training steps, against width."""
    steps, rate = int(checks["step"].max()), float(checks.attrs["learning_rate"])
    text = (
        f"After {steps} training steps at rate {plain_number(rate, 2)}: root mean square of the "
        "activations (firing rates), of their change, and of the change of the output, on held-out "
        "trials. Where changes grow with N, the same rate moves large networks further."
    )
    rows = tuple(
        (name_condition(labels), *(_slope_cell(part, name) for name in MEASURES))
        for labels, part in iterate_conditions(checks, ("hidden", "seed", "step"))
    )
    columns = ("rule", "activation", "change of activation", "change of output")
    caption = (
        "Slope of log10 RMS against log10 N, mean over seeds and its standard error: 0 where a "
        "coordinate keeps its size."
    )
    picture = Picture(
        coordinate_check(checks),
        "coordinate_check",
        "Activations, their change and that of the output, root mean squares against N, for each "
        "rule (coordinate check). Thick: after the last step, geometric mean over the seeds that "
        "have not diverged, with their range; thin: after the earlier ones.",
    )
    title = "What the first steps change"
    return Section(title, text, (Table(columns, rows, caption),), (picture,))


def _slope_cell(part: xr.Dataset, name: str) -> str:
    slope, error = float(part[f"{name}_slope"]), float(part[f"{name}_slope_error"])
    if np.isnan(slope):
        return "none"
    text = signed(slope) if np.isnan(error) else f"{signed(slope)} ± {error:.2f}"
    left_out = seeds_left_out(part, name)
    return f"{text} (without {left_out} of {part.sizes['seed']} seeds)" if left_out else text
