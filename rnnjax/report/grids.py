"""What was tried, in words, and a paper's setup beside it."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from rnnjax.plots.style import plain_numbers
from rnnjax.report.findings import number, task_name
from rnnjax.report.page import Table

__all__ = ["exponent_range", "listed_rates", "listed_sizes", "listed_tasks", "setup_table"]


def listed_rates(rates: Sequence[float] | np.ndarray) -> str:
    """Learning rates, one by one: `0.01, 0.1, 1`."""
    return ", ".join(plain_numbers([float(rate) for rate in rates]))


def listed_sizes(sizes: np.ndarray) -> str:
    """Network sizes, one by one: `500, 1000`."""
    return ", ".join(str(size) for size in sizes)


def listed_tasks(dataset: xr.Dataset) -> str:
    """The tasks of a sweep; a sweep of one task names it among its settings only."""
    tasks = dataset["task"].values.flat if "task" in dataset.coords else []
    return ", ".join(task_name(task) for task in tasks) or "among the settings"


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
