"""Fits of several studies in words: a condition's power law, exponents, a printed setup."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.report.page import Table
from rnnjax.report.wording import number, task_name

__all__ = ["Finding", "exponent_range", "setup_table", "where"]


class Finding(NamedTuple):
    """One condition: its coordinates, its power law, and its critical rates over `hidden`."""

    labels: Mapping[str, object]
    fit: xr.Dataset
    critical: xr.Dataset

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
        """How many sizes are censored as `kind`, `"above"` or `"below"`."""
        return int((self.critical["censored"] == kind).sum())


def where(labels: Mapping[str, object]) -> str:
    """A condition within a sentence: `delayed cue discrimination under Adam, init = xavier`."""
    parts = [task_name(labels["task"])] if "task" in labels else []
    if "optimizer" in labels:
        parts.append(f"under {name_value(labels['optimizer'])}")
    extra = [f"{k} = {v}" for k, v in labels.items() if k not in ("task", "optimizer")]
    return ", ".join([" ".join(parts) or "this sweep", *extra])


def setup_table(paper: Mapping[str, str], ours: Mapping[str, str]) -> Table:
    """A paper's experimental setup beside ours, row by row; empty where `ours` lacks one."""
    rows = tuple((name, value, ours.get(name, "")) for name, value in paper.items())
    return Table(("setup", "paper", "here"), rows, align="lll")


def exponent_range(fits: Sequence[xr.Dataset]) -> str:
    """The exponents of several fits, and how many of their intervals lie above zero."""
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
