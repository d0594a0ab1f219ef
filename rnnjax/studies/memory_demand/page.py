"""Page on memory demand: how long a history the next target of each task depends on."""

import numpy as np
import xarray as xr

from rnnjax.analysis import require
from rnnjax.plots.style import name_value, plain_number
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, settings_section
from rnnjax.report.wording import bullets, task_name
from rnnjax.studies.memory_demand.figures import memory_curves
from rnnjax.studies.papers import DEGENERACY_PAPER

__all__ = ["memory_page"]

PRINTED = "as printed"
"""The variant with the features of the paper."""


def _bounds(part: xr.Dataset) -> tuple[int, int]:
    """The longest history that was too short, 0 if none was, and the demand."""
    demand = int(part["demand"])
    return max((h for h in part["history"].values.tolist() if h < demand), default=0), demand


def _demand(part: xr.Dataset) -> str:
    """`26`, or what is known of it: `at least 30` where only the longest history suffices, `at most
    5` where the first does, and `11 to 15` between two histories."""
    low, demand = _bounds(part)
    if part["censored"]:
        return f"at least {demand}"
    if demand == low + 1:
        return str(demand)
    return f"{low + 1} to {demand}" if low else f"at most {demand}"


def _comparison(part: xr.Dataset, paper: float) -> str:
    """`agree`, `differ` or `undecided`, since histories between two measured ones are unknown."""
    (low, demand), censored = _bounds(part), bool(part["censored"])
    if paper <= low or (paper > demand and not censored):
        return "differ"
    return "agree" if paper == demand == low + 1 and not censored else "undecided"


def _lead(dataset: xr.Dataset) -> str:
    groups: dict[str, list[str]] = {"agree": [], "differ": [], "undecided": [], "alone": []}
    for task in dataset["task"].values.tolist():
        part = dataset.sel(task=task, variant=PRINTED)
        name, demand, paper = task_name(task), _demand(part), float(part["paper"])
        group = "alone" if np.isnan(paper) else _comparison(part, paper)
        beside = f", paper {paper:.0f}" if group in ("differ", "undecided") else ""
        groups[group].append(f"{name} ({demand}{beside})")
    parts = []
    if groups["agree"]:
        parts.append(f"is as in the paper for {', '.join(groups['agree'])}")
    if groups["differ"]:
        parts.append(f"differs from the paper's for {', '.join(groups['differ'])}")
    if groups["undecided"]:
        parts.append(f"is not decided for {', '.join(groups['undecided'])}")
    if groups["alone"]:
        parts.append(
            f"has no counterpart in the paper for the options of {', '.join(groups['alone'])}"
        )
    return f"With the paper's features, the memory demand, in steps, {'; it '.join(parts)}."


def _demand_table(dataset: xr.Dataset) -> Table:
    variants = dataset["variant"].values.tolist()
    rows = []
    for task in dataset["task"].values.tolist():
        paper = float(dataset["paper"].sel(task=task))
        cells = []
        for variant in variants:
            part = dataset.sel(task=task, variant=variant)
            error = part["error"].mean("initialization")
            first, best = float(error.isel(history=0)), float(error.min())
            cells.append(f"{_demand(part)} ({plain_number(first, 2)} → {plain_number(best, 2)})")
        variance = float(dataset["variance"].sel(task=task).isel(variant=0))
        rows.append(
            (name_value(task), "" if np.isnan(paper) else f"{paper:.0f}", *cells, f"{variance:.2g}")
        )
    caption = (
        "Memory demand in steps, and in brackets the held-out error at the first h and the lowest "
        "at any; mean over initializations. Last column: variance of the targets."
    )
    columns = ("task", "paper", *variants, "variance")
    return Table(columns, tuple(rows), caption)


def _reading() -> str:
    return bullets(
        [
            "Targets of this package respond to the input of their own step. The paper's features "
            "end at x_t, one step before the target they predict: the input at t + 1 is unknown to "
            "them, which can set a lowest error that windows up to x_{t+1} do not have.",
            "Every window also contains y_t, which may itself act as a memory: where targets "
            "persist, the error reflects only the steps at which they change.",
            "Where the input is constant, a longer history of it adds nothing; past targets may.",
            "Silence before the trial ends where the trial begins: a window that reaches back that "
            "far reveals the time within the trial, whether or not the task depends on it. The "
            "first step repeated does not, where the input is constant.",
            "The error can rise with h: more inputs, the same number of trials.",
        ]
    )


def memory_page(dataset: xr.Dataset, provenance: Provenance) -> Page:
    """The page on memory demand beside the paper's numbers.

    `dataset` has `error`, `demand`, `censored` and `variance` over `task` and `variant` (see
    `memory_curves`), one variant being `as printed`, and the coordinate `paper` over `task`, NaN
    where the paper has no number. Raises `ValueError` for missing variables, dimensions or variant.
    """
    require(
        dataset,
        variables=["error", "demand", "censored", "variance", "paper"],
        dims=["task", "variant"],
    )
    if PRINTED not in dataset["variant"].values:
        raise ValueError(
            f"dataset: expected the variant {PRINTED!r}, got {dataset['variant'].values.tolist()}"
        )
    demand, history = dataset["demand"], dataset["history"]
    before = history.where(history < demand).max("history").fillna(0)
    known = ~dataset["censored"] & (demand == before + 1)
    picture = Picture(
        memory_curves(dataset.assign(demand=demand.where(known))),
        "memory_demand",
        "Held-out error of a two-layer perceptron against the length h of its window. Line: mean "
        "over initializations, band: their range, ring: the demand, where it is known. "
        "(Paper: Fig. 9.)",
    )
    sections = (
        Section("Error against history", "", (_demand_table(dataset),), (picture,)),
        Section("How to read it", _reading()),
        settings_section(provenance.settings),
    )
    return Page(
        "Memory demand of the tasks",
        _lead(dataset),
        sections,
        subtitle=f"After “{DEGENERACY_PAPER}”, appendix C",
        provenance=provenance.rows(),
    )
