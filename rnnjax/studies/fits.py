"""Power laws of several studies: the fit of a condition, and its wording in a report."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from rnnjax.plots.style import name_condition, name_value
from rnnjax.report.wording import number, task_name

__all__ = ["Finding", "condition_text", "difference_interval", "exponent_range", "row_name"]


class Finding(NamedTuple):
    """The power law of one condition."""

    labels: Mapping[str, object]
    """Coordinates of the condition."""
    fit: xr.Dataset
    """Its fit."""
    critical: xr.Dataset
    """The rates that were fitted, along `hidden`."""

    @property
    def exponent(self) -> float:
        """The fitted exponent; NaN without a fit."""
        return float(self.fit["exponent"])

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval."""
        return float(self.fit["exponent_low"]), float(self.fit["exponent_high"])

    @property
    def started(self) -> bool:
        """Whether any run of the condition has ended."""
        return bool(self.critical["upper"].notnull().any())

    @property
    def fell(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.interval[1] < 0

    def censored(self, kind: str) -> int:
        """Number of sizes censored as `kind`, `"above"` or `"below"`."""
        return int((self.critical["censored"] == kind).sum())


def condition_text(labels: Mapping[str, object]) -> str:
    """A condition within a sentence: `delayed cue discrimination under Adam, init = xavier`."""
    parts = [task_name(labels["task"])] if "task" in labels else []
    if "optimizer" in labels:
        parts.append(f"under {name_value(labels['optimizer'])}")
    extra = [f"{k} = {v}" for k, v in labels.items() if k not in ("task", "optimizer")]
    return ", ".join([" ".join(parts) or "this sweep", *extra])


def row_name(labels: Mapping[str, object]) -> str:
    """A condition in the first column of a table."""
    return name_condition(labels) or "all runs"


def difference_interval(fit: xr.Dataset, base: xr.Dataset) -> xr.Dataset:
    """The exponent of `fit` minus that of `base`: `difference`, `difference_low` and `_high`.

    Both intervals are combined as for independent estimates (Zou and Donner 2008): the distance of
    each end from the difference is the root of the sum of squares of the distances of the two
    exponents from their ends, 0 for an end on the wrong side.
    """

    def distance(part: xr.Dataset, end: str) -> xr.DataArray:
        sign = 1 if end == "high" else -1
        return (sign * (part[f"exponent_{end}"] - part["exponent"])).clip(min=0)

    difference = fit["exponent"] - base["exponent"]
    below = np.hypot(distance(fit, "low"), distance(base, "high"))
    above = np.hypot(distance(fit, "high"), distance(base, "low"))
    return xr.Dataset(
        {
            "difference": difference,
            "difference_low": difference - below,
            "difference_high": difference + above,
        }
    )


def exponent_range(fits: Sequence[xr.Dataset]) -> str:
    """The range of several exponents, and the number of their intervals that lie above zero."""
    known = [fit for fit in fits if not np.isnan(float(fit["exponent_low"]))]
    if not known:
        return "no fit"
    values = [float(fit["exponent"]) for fit in known]
    above = sum(float(fit["exponent_low"]) > 0 for fit in known)
    if len(known) == 1:
        low, high = (number(float(known[0][f"exponent_{end}"])) for end in ("low", "high"))
        return f"exponent {number(values[0])} ({low} to {high})"
    return (
        f"exponents from {number(min(values))} to {number(max(values))}; interval above zero in "
        f"{above} of {len(known)}"
    )
