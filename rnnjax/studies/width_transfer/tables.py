"""Tables on width transfer: slopes, their differences, and the best rate at every size."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import iterate_conditions
from rnnjax.plots.style import name_condition, name_value, plain_number
from rnnjax.report.page import Table
from rnnjax.report.wording import exponent_text, number, with_interval
from rnnjax.studies.width_transfer.analysis import Fits, Rule, Transfer, exponent_difference

__all__ = ["best_table", "difference_table", "shift_text", "sizes_used", "slope_table"]

REFERENCE = "standard"
"""The rule with which the others are compared, where it is among them."""

_MARKS = {"untrained": " †", "above": " ‡", "below": " ‡"}


def sizes_used(fit: xr.Dataset) -> str:
    """`3 of 5`: sizes used of those run."""
    names = ("points_used", "points_censored", "points_untrained")
    return f"{int(fit['points_used'])} of {sum(int(fit[name]) for name in names if name in fit)}"


def shift_text(transfer: Transfer) -> str:
    """`-1.00 (-1.25 to -0.69)` decades."""
    if not transfer.fitted:
        return "no fit"
    names = ("shift", "shift_low", "shift_high")
    return with_interval(*(float(transfer.shift[name]) for name in names))


def slope_table(rules: Sequence[Rule]) -> Table:
    """Slope, shift and verdict of the three kinds of rates, a row each per rule."""
    rows = []
    for rule in rules:
        for name, transfer in zip(("best", "critical", "to first failure"), rule, strict=True):
            finding = transfer.finding
            scatter = [float(finding.fit[f"scatter_{end}"]) for end in ("low", "high")]
            rows.append(
                (
                    rule.name,
                    name,
                    exponent_text(finding.fit),
                    "none"
                    if np.isnan(scatter[0])
                    else f"{number(scatter[0])} to {number(scatter[1])}",
                    shift_text(transfer),
                    sizes_used(finding.fit),
                    f"{finding.censored('above')} / {finding.censored('below')}",
                    str(transfer.untrained),
                    transfer.verdict if rule.started else "not run yet",
                )
            )
    columns = (
        "rule",
        "rate",
        "slope (95% interval)",
        "from scatter",
        "decades moved (95% interval)",
        "sizes used",
        "censored above / below",
        "not trained",
        "verdict",
    )
    caption = (
        "Slope of log rate against log N. The 95% interval covers seeds and grid spacing; “from "
        "scatter” is Student's interval from the residuals of the line alone (none where the "
        "points lie on it). Decades moved: slope times the decades of N of the fit. Left out of "
        "the fit: censored sizes, whose best rate is the largest or smallest tried, or whose "
        "critical rate lies beyond the rates tried; and sizes not trained, where too few seeds "
        "learned at the best rate."
    )
    return Table(columns, tuple(rows), caption, align="ll" + "r" * 6 + "l")


def difference_table(fits: Fits) -> Table | None:
    """Slopes minus those of the reference rule; None without it or without others."""
    best = fits.best
    labels = [str(cell) for cell in best["cell"].values] if "cell" in best.dims else []
    if REFERENCE not in labels or len(labels) < 2:
        return None
    found = [iterate_conditions(exponent_difference(fit, REFERENCE)) for fit in fits]
    rows = tuple(
        (name_condition(parts[0][0]), *(_difference_text(part) for _, part in parts))
        for parts in zip(*found, strict=True)
    )
    caption = (
        f"Slope under each rule minus that under {name_value(REFERENCE)}, with 95% intervals. "
        "The intervals of the two slopes are combined as if independent."
    )
    return Table(("rule", "best rate", "critical rate", "to first failure"), rows, caption)


def _difference_text(part: xr.Dataset) -> str:
    values = [float(part[name]) for name in ("difference", "difference_low", "difference_high")]
    if np.isnan(values[0]):
        return "no fit"
    return with_interval(*values)


def _best_cell(part: xr.Dataset) -> str:
    if np.isnan(float(part["rate"])):
        return "none"
    rate, loss = plain_number(float(part["rate"]), 2), plain_number(float(part["loss"]), 2)
    return f"{rate}: {loss}{_MARKS.get(str(part['censored'].item()), '')}"


def best_table(rules: Sequence[Rule]) -> Table:
    """Best rates and their losses: a row per size, a column per rule."""
    sizes = rules[0].best.finding.fit["hidden"].values.tolist()
    rows = tuple(
        (str(size), *(_best_cell(rule.best.finding.fit.sel(hidden=size)) for rule in rules))
        for size in sizes
    )
    caption = (
        "Best rate: held-out loss there, averaged over seeds. † too few seeds learned at that "
        "rate; ‡ the largest or smallest rate tried, so that the true best rate may lie beyond. "
        "“none”: not run, or a seed diverged at every rate."
    )
    return Table(("N", *(rule.name for rule in rules)), rows, caption)
