"""The report on memory demand: how long a history each task's next target asks for."""

from collections.abc import Mapping

import xarray as xr

from rnnjax.analysis import require
from rnnjax.plots import memory_curves
from rnnjax.plots.style import name_value, plain_number
from rnnjax.report.common import bullets, provenance, settings_section
from rnnjax.report.findings import task_name
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.reference import DEGENERACY_PAPER, MEMORY_DEMAND

__all__ = ["memory_page"]

PRINTED = "as printed"
"""The variant whose features are those of the paper."""


def _lead(dataset: xr.Dataset) -> str:
    printed = dataset["demand"].sel(variant=PRINTED)
    agree, differ = [], []
    for task in dataset["task"].values.tolist():
        here, paper = int(printed.sel(task=task)), MEMORY_DEMAND.get(task)
        if paper is not None:
            (agree if here == paper else differ).append(f"{task_name(task)} {here} (paper {paper})")
    parts = ["With the paper's features, the memory demand in steps "]
    if agree:
        parts.append(f"is the paper's in {', '.join(agree)}")
    if differ:
        parts.append(f"{'; it ' if agree else ''}differs in {', '.join(differ)}")
    return "".join(parts) + "."


def _demand_table(dataset: xr.Dataset) -> Table:
    variants = dataset["variant"].values.tolist()
    rows = []
    for task in dataset["task"].values.tolist():
        paper = MEMORY_DEMAND.get(task)
        cells = []
        for variant in variants:
            part = dataset.sel(task=task, variant=variant)
            error = part["error"].mean("initialization")
            first, best = float(error.isel(history=0)), float(error.min())
            cells.append(
                f"{int(part['demand'])} ({plain_number(first, 2)} → {plain_number(best, 2)})"
            )
        variance = float(dataset["variance"].sel(task=task).isel(variant=0))
        rows.append(
            (name_value(task), "" if paper is None else str(paper), *cells, f"{variance:.2g}")
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
            "Targets of this package answer the input of their own step. The paper's features end "
            "at x_t, one step before the target they predict: whatever arrives at t + 1 cannot be "
            "known, and sets a floor. The variant “with x_{t+1}” removes it.",
            "Flip-flop: y_t already is the memory, so that one step is enough in every variant; "
            "the floor of the printed features is the pulses at t + 1.",
            "Sine wave: the input is constant and names the frequency. From y_t alone the phase is "
            "known up to its direction, and no number of equal inputs tells that. With past "
            "targets, two of them do. With silence before the trial, a window that reaches its "
            "beginning also tells the time, and so the phase: the error falls with every step of "
            "h, for a reason that is not the task's.",
            "Path integration: position plus heading and speed give the next position.",
            "Delayed discrimination: the last step of the first pulse lies max_delay + pulse + 1 "
            "= 26 steps back when the response begins after the longest delay; the paper's 25 is "
            "the time between that pulse's end and the response. At h = 25 only trials with the "
            "longest of the 16 delays miss it, at one step of each.",
        ]
    )


def memory_page(
    dataset: xr.Dataset,
    *,
    settings: Mapping[str, object],
    command: str,
    versions: Mapping[str, str],
    elapsed_seconds: float | None = None,
) -> Page:
    """The report on memory demand beside the paper's numbers.

    `dataset` has `error`, `demand` and `variance` over `task` and `variant` (see
    `rnnjax.plots.memory_curves`), one variant being `as printed`. Raises `ValueError` for what is
    missing.
    """
    require(dataset, variables=["error", "demand", "variance"], dims=["task", "variant"])
    if PRINTED not in dataset["variant"].values:
        raise ValueError(
            f"dataset: expected the variant {PRINTED!r}, got {dataset['variant'].values.tolist()}"
        )
    picture = Picture(
        memory_curves(dataset),
        "memory_demand",
        "Held-out error of a two-layer perceptron against the length h of its window. Line: mean "
        "over initializations, band: their range, ring: the demand. (Paper: Fig. 9.)",
    )
    sections = (
        Section("Error against history", "", (_demand_table(dataset),), (picture,)),
        Section("How to read it", _reading()),
        settings_section(settings),
    )
    return Page(
        "Memory demand of the tasks",
        _lead(dataset),
        sections,
        subtitle=f"After “{DEGENERACY_PAPER}”, appendix C",
        provenance=provenance(command, versions, elapsed_seconds),
    )
